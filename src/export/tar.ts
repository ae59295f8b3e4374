import { Header } from 'tar'
import { sizeOf, type LayoutFile } from './layout.ts'
import type { ReadBlob } from './verified.ts'

const mtime = new Date(1000)
// As in GNU tar, archives consist of records of 20 blocks. Some readers warn otherwise.
const recordSize = 10_240

/**
 * The files as a tar archive: folders first, no owner, mtime 1. The same files give the same bytes.
 * @param files sorted by path
 * @param onBytes called with the size of each piece after it was consumed
 */
export async function* tarOf(
  files: readonly LayoutFile[],
  read: ReadBlob,
  onBytes: (count: number) => void = () => {},
): AsyncGenerator<Uint8Array> {
  let written = 0
  const counted = (bytes: Uint8Array): Uint8Array => {
    written += bytes.length
    onBytes(bytes.length)
    return bytes
  }
  const made = new Set<string>()
  for (const file of files) {
    for (const folder of foldersOf(file.path)) {
      if (made.has(folder)) continue
      made.add(folder)
      yield counted(header('Directory', `${folder}/`, 0o755, 0))
    }
    yield counted(header('File', file.path, 0o644, sizeOf(file)))
    if ('bytes' in file.content) yield counted(file.content.bytes)
    else for await (const chunk of read(file.content.blob)) yield counted(chunk)
    if (sizeOf(file) % 512 > 0) yield counted(zeros(512 - (sizeOf(file) % 512)))
  }
  const end = written + 1024
  yield counted(zeros(1024 + ((recordSize - (end % recordSize)) % recordSize)))
}

const zeros = (count: number): Uint8Array => new Uint8Array(count)

/** `a/b/c` → `a`, `a/b` */
const foldersOf = (path: string): string[] =>
  path
    .split('/')
    .slice(0, -1)
    .map((_, index, names) => names.slice(0, index + 1).join('/'))

/**
 * Paths of a layout are short ASCII. Sizes above 8 GiB are written in base 256, which GNU tar, Go and libarchive can read
 * without a PAX record.
 */
function header(type: 'File' | 'Directory', path: string, mode: number, size: number): Uint8Array {
  const made = new Header({ type, path, mode, size, uid: 0, gid: 0, uname: '', gname: '', mtime })
  made.encode()
  if (!made.block) throw new Error('tar header was not encoded')
  return made.block
}
