import type { Entry, FileReader } from '../contents/entry.ts'
import { headerOf, padding } from './header.ts'

/**
 * The tar format of all layers: relative names, no owner names, uid and gid 0 unless an entry has an owner, mtime 1, and
 * PAX records only where a name or a size needs them. The bytes depend only on the entries.
 */

/** Increment this when the same entries produce different bytes. */
export const archiveVersion = 1

/** The default block size, in bytes of tar. */
export const blockSize = 1024 * 1024

/** The end of an archive: two empty records. */
export const trailer: Uint8Array = new Uint8Array(1024)

/**
 * Encodes entries as tar, without the end of the archive, in blocks of `size` bytes and a shorter last one.
 * Reads files synchronously, so use it only in worker threads. (Promises cost 15 times as much for small files.)
 * @throws ReservedName for an entry that container runtimes would treat as a deletion
 * @param take returns a buffer of `size` bytes for the next block
 */
export function* tarBlocks(
  entries: Iterable<Entry>,
  size = blockSize,
  take: () => Uint8Array = () => Buffer.allocUnsafe(size),
): Generator<Uint8Array> {
  let block: Uint8Array | undefined
  let used = 0

  /** Copies small data without the overhead of a generator. */
  function putSmall(bytes: Uint8Array): boolean {
    if (!block || used + bytes.length >= size) return false
    block.set(bytes, used)
    used += bytes.length
    return true
  }
  function* put(bytes: Uint8Array): Generator<Uint8Array> {
    for (let from = 0; from < bytes.length;) {
      block ??= take()
      const count = Math.min(bytes.length - from, size - used)
      block.set(bytes.subarray(from, from + count), used)
      from += count
      yield* advance(block, count)
    }
  }
  function* advance(full: Uint8Array, count: number): Generator<Uint8Array> {
    used += count
    if (used < size) return
    block = undefined
    used = 0
    yield full
  }
  function* putFile(path: string, length: number, reader: FileReader): Generator<Uint8Array> {
    try {
      for (let left = length; left > 0;) {
        block ??= take()
        const count = reader.read(block.subarray(used, used + Math.min(left, size - used)))
        if (count === 0) throw new Error(`a file shrank while it was read: ${path}`)
        left -= count
        yield* advance(block, count)
      }
      if (reader.read(beyond) > 0) throw new Error(`a file grew while it was read: ${path}`)
    } finally {
      reader.close()
    }
  }

  for (const entry of entries) {
    if (isDeletion(entry.path)) throw new ReservedName(entry.path)
    const header = headerOf(entry, sizeOf(entry))
    if (!putSmall(header)) yield* put(header)
    if (entry.kind !== 'file') continue
    const { content } = entry
    if ('bytes' in content) yield* put(content.bytes)
    else yield* putFile(entry.path, content.size, content.open())
    const rest = padding(sizeOf(entry))
    if (!putSmall(rest)) yield* put(rest)
  }
  if (block) yield block.subarray(0, used)
}

/**
 * Reports whether runtimes treat a name as a deletion. In a layer, `.wh.x` deletes `x` from the layers below, and there is
 * no way to escape such a name (OCI image spec, layer.md, "Whiteouts").
 */
const isDeletion = (path: string): boolean => path.includes('/.wh.') || path.startsWith('.wh.')

/** A name that no layer can contain. The message is the absolute path, as a byte string. */
export class ReservedName extends Error {
  constructor(path: string) {
    super(`/${path}`)
    this.name = 'ReservedName'
  }
}

/** A buffer for a byte past the expected end. */
const beyond = new Uint8Array(1)

/** The size of a file in bytes, or 0 for anything else. */
function sizeOf(entry: Entry): number {
  if (entry.kind !== 'file') return 0
  return 'bytes' in entry.content ? entry.content.bytes.length : entry.content.size
}
