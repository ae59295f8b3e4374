import { lstat, open, readdir, readlink } from 'node:fs/promises'
import type { StorePath } from '../../image/store-path.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')
const readSize = 1024 * 1024
/** Small pieces are joined up to this size: each passes through several streams. */
const pieceSize = 64 * 1024

const lengthOf = (size: number): Buffer => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(size))
  return length
}
const padding = (size: number): Buffer => Buffer.alloc((8 - (size % 8)) % 8)
/** Strings, byte strings in latin1, one after another. */
const strings = (...all: readonly string[]): Buffer =>
  Buffer.concat(all.flatMap((one) => [lengthOf(one.length), bytesOf(one), padding(one.length)]))

/**
 * The NAR of a path in the store of this machine, in pieces (libutil/archive.cc): names in byte order, of modes only
 * whether a file can be executed.
 * @throws the failed system call; Error if there is something else than files, directories and symbolic links
 */
export async function* narBytes(storePath: StorePath): AsyncGenerator<Buffer> {
  const start = strings('nix-archive-1')
  let pending = [start]
  let size = start.length
  for await (const piece of nodeBytes(storePath)) {
    pending.push(piece)
    size += piece.length
    if (size < pieceSize) continue
    yield Buffer.concat(pending)
    pending = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(pending)
}

async function* nodeBytes(path: string): AsyncGenerator<Buffer> {
  const file = bytesOf(path)
  const stat = await lstat(file)
  if (stat.isSymbolicLink()) {
    const target = await readlink(file, { encoding: 'latin1' })
    yield strings('(', 'type', 'symlink', 'target', target, ')')
  } else if (stat.isDirectory()) {
    yield strings('(', 'type', 'directory')
    // Of latin1 strings, the default order is that of their bytes.
    for (const name of (await readdir(file, { encoding: 'latin1' })).sort()) {
      yield strings('entry', '(', 'name', name, 'node')
      yield* nodeBytes(`${path}/${name}`)
      yield strings(')')
    }
    yield strings(')')
  } else if (stat.isFile()) {
    const mark = (stat.mode & 0o100) === 0 ? [] : ['executable', '']
    yield strings('(', 'type', 'regular', ...mark, 'contents')
    yield* fileBytes(file, stat.size)
    yield strings(')')
  } else {
    throw new Error(`neither file, directory nor symbolic link: ${path}`)
  }
}

async function* fileBytes(file: Buffer, size: number): AsyncGenerator<Buffer> {
  yield lengthOf(size)
  const handle = await open(file, 'r')
  try {
    for (let at = 0; at < size;) {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(Math.min(readSize, size - at)))
      if (bytesRead === 0) throw new Error('a file became shorter while it was read')
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
  yield padding(size)
}
