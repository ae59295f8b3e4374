import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import type { StorePath } from '../image/store-path.ts'
import { headerOf, padding } from './header.ts'

/**
 * Tar entries as every layer has them: relative names, uid and gid 0, no owner names, mtime 1, PAX records only
 * where a name or size needs them. So the bytes depend on what is archived alone.
 *
 * Names and link targets are byte strings (`latin1`: one character is one byte), because Nix allows any byte in
 * them; their order is byte order.
 */
export type Entry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Content }

/** A file's bytes: here, or to be read. */
export type Content = { readonly bytes: Uint8Array } | { readonly file: Buffer; readonly size: number }

/** Raise it when the same entries begin to give other bytes. */
export const archiveVersion = 1

/** Bytes of tar that are handed on at once: the bound on memory, and the unit of compression. */
export const blockSize = 1024 * 1024

/** What ends an archive: two empty records. */
export const trailer: Uint8Array = new Uint8Array(1024)

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

/** The entries of a store path, depth first, the names of each directory in byte order. */
export function* storePathEntries(storePath: StorePath): Generator<Entry> {
  // One generator and not one for each folder: a value passes through all that stand above it.
  const waiting: [onDisk: string, path: string][] = [[storePath, storePath.slice(1)]]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [onDisk, path] = next
    const file = bytesOf(onDisk)
    const stat = lstatSync(file)
    if (stat.isDirectory()) {
      yield { kind: 'directory', path, mode: 0o555 }
      const names = readdirSync(file, { encoding: 'latin1' }).sort()
      for (const name of names.reverse()) waiting.push([`${onDisk}/${name}`, `${path}/${name}`])
    } else if (stat.isSymbolicLink()) {
      yield { kind: 'symlink', path, target: readlinkSync(file, { encoding: 'latin1' }) }
    } else if (stat.isFile()) {
      // Of a mode Nix keeps only whether a file can be executed (its NAR format).
      yield {
        kind: 'file',
        path,
        mode: stat.mode & 0o100 ? 0o555 : 0o444,
        content: { file, size: stat.size },
      }
    } else {
      throw new Error(`neither file, directory nor symbolic link: ${onDisk}`)
    }
  }
}

/**
 * The entries as tar, without the archive's end, in blocks of `blockSize` and a shorter last one.
 * Reads files synchronously: for worker threads only (promises cost 15 times as much for small files).
 * @param take gives the room for a block, `blockSize` bytes, when it begins
 */
export function* tarBlocks(
  entries: Iterable<Entry>,
  take: () => Uint8Array = () => Buffer.allocUnsafe(blockSize),
): Generator<Uint8Array> {
  let block: Uint8Array | undefined
  let used = 0

  /** Puts small things without a generator, which takes as long as they do. */
  function fits(bytes: Uint8Array): boolean {
    if (!block || used + bytes.length >= blockSize) return false
    block.set(bytes, used)
    used += bytes.length
    return true
  }
  function* put(bytes: Uint8Array): Generator<Uint8Array> {
    for (let from = 0; from < bytes.length;) {
      block ??= take()
      const count = Math.min(bytes.length - from, blockSize - used)
      block.set(bytes.subarray(from, from + count), used)
      from += count
      yield* advance(block, count)
    }
  }
  function* advance(full: Uint8Array, count: number): Generator<Uint8Array> {
    used += count
    if (used < blockSize) return
    block = undefined
    used = 0
    yield full
  }
  function* putFile(file: Buffer, size: number): Generator<Uint8Array> {
    const descriptor = openSync(file, 'r')
    try {
      for (let left = size; left > 0;) {
        block ??= take()
        const count = readSync(descriptor, block, used, Math.min(left, blockSize - used), null)
        if (count === 0) throw new Error(`file became shorter while it was read: ${file.toString()}`)
        left -= count
        yield* advance(block, count)
      }
      if (fstatSync(descriptor).size !== size) {
        throw new Error(`file became longer while it was read: ${file.toString()}`)
      }
    } finally {
      closeSync(descriptor)
    }
  }

  for (const entry of entries) {
    const header = headerOf(entry, sizeOf(entry))
    if (!fits(header)) yield* put(header)
    if (entry.kind !== 'file') continue
    const { content } = entry
    if ('bytes' in content) yield* put(content.bytes)
    else yield* putFile(content.file, content.size)
    const rest = padding(sizeOf(entry))
    if (!fits(rest)) yield* put(rest)
  }
  if (block) yield block.subarray(0, used)
}

/** Bytes of a file; 0 of anything else. */
function sizeOf(entry: Entry): number {
  if (entry.kind !== 'file') return 0
  return 'bytes' in entry.content ? entry.content.bytes.length : entry.content.size
}
