import type { Entry, FileReader } from '../contents/entry.ts'
import { headerOf, padding } from './header.ts'

/**
 * Tar as every layer has it: relative names, no owner names, uid and gid 0 unless an entry says whose it is, mtime 1, PAX records only where a name or
 * size needs them. So the bytes depend on what is archived alone.
 */

/** Raise it when the same entries begin to give other bytes. */
export const archiveVersion = 1

/** Bytes of tar that are handed on at once, where no format says how many. */
export const blockSize = 1024 * 1024

/** What ends an archive: two empty records. */
export const trailer: Uint8Array = new Uint8Array(1024)

/**
 * The entries as tar, without the archive's end, in blocks of `size` bytes and a shorter last one.
 * Reads files synchronously: for worker threads only (promises cost 15 times as much for small files).
 * @throws ReservedName for an entry that runtimes would take for a deletion
 * @param take gives the room for a block, `size` bytes, when it begins
 */
export function* tarBlocks(
  entries: Iterable<Entry>,
  size = blockSize,
  take: () => Uint8Array = () => Buffer.allocUnsafe(size),
): Generator<Uint8Array> {
  let block: Uint8Array | undefined
  let used = 0

  /** Puts small things without a generator, which takes as long as they do. */
  function fits(bytes: Uint8Array): boolean {
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
        if (count === 0) throw new Error(`file became shorter while it was read: ${path}`)
        left -= count
        yield* advance(block, count)
      }
      if (reader.read(beyond) > 0) throw new Error(`file became longer while it was read: ${path}`)
    } finally {
      reader.close()
    }
  }

  for (const entry of entries) {
    if (isDeletion(entry.path)) throw new ReservedName(entry.path)
    const header = headerOf(entry, sizeOf(entry))
    if (!fits(header)) yield* put(header)
    if (entry.kind !== 'file') continue
    const { content } = entry
    if ('bytes' in content) yield* put(content.bytes)
    else yield* putFile(entry.path, content.size, content.open())
    const rest = padding(sizeOf(entry))
    if (!fits(rest)) yield* put(rest)
  }
  if (block) yield block.subarray(0, used)
}

/**
 * Whether a name would be taken for a deletion: every runtime takes `.wh.x` in a layer for the deletion of `x` in those
 * below, and knows no way to say that it is a file (OCI image spec, layer.md, "Whiteouts").
 */
const isDeletion = (path: string): boolean => path.includes('/.wh.') || path.startsWith('.wh.')

/** An entry that no layer can hold. The message is its path, absolute, as a byte string. */
export class ReservedName extends Error {
  constructor(path: string) {
    super(`/${path}`)
    this.name = 'ReservedName'
  }
}

/** Room for a byte that should not be there. */
const beyond = new Uint8Array(1)

/** Bytes of a file; 0 of anything else. */
function sizeOf(entry: Entry): number {
  if (entry.kind !== 'file') return 0
  return 'bytes' in entry.content ? entry.content.bytes.length : entry.content.size
}
