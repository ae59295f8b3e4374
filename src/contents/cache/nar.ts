import { createHash } from 'node:crypto'
import type { StorePath } from '../../image/store-path.ts'
import type { Entry, FileReader } from '../entry.ts'
import { sriOf } from './nix32.ts'

/** The signed facts that a NAR must match. */
export type NarFacts = {
  readonly storePath: StorePath
  /** `sha256-<base64>`. */
  readonly narHash: string
  readonly narSize: number
}

// Nix 2.36's bounds (libutil/archive.cc). Larger trees can only come from a Nix store.
const longestTag = 32
const longestName = 255
const longestTarget = 4095
const mostDepth = 64
/** The maximum number of files, folders and links of a path. A NAR needs only a hundred bytes for each. */
const mostEntries = 1_000_000

const bufferSize = 64 * 1024
/** A buffer for skipped bytes. */
const skipped = Buffer.alloc(bufferSize)

/**
 * The entries of a NAR while it is read, in its order, which is that of layers: depth first, names in byte order. The
 * bytes of a file must be read before the next entry is requested; the rest is skipped.
 * @param source the NAR's decompressed bytes; the caller closes it
 * @param most the maximum number of files, directories and links
 * @throws a plain `Error` at the first invalid byte, for a wrong size, and at the end for a wrong hash. Until all
 * entries have been requested, nothing that was read can be trusted
 */
export function* narEntries(
  source: Pick<FileReader, 'read'>,
  facts: NarFacts,
  most = mostEntries,
): Generator<Entry> {
  const input = openInput(source, facts.narSize)
  input.expect('nix-archive-1')
  /** Directories that are being read, the innermost last, each with its last name. */
  const open: { readonly path: string; last: string }[] = []
  let path = facts.storePath.slice(1)
  let count = 0
  for (let isDone = false; !isDone;) {
    count += 1
    if (count > most) throw new Error(`a NAR has more than ${most} entries`)
    if (open.length >= mostDepth) throw new Error(`a NAR has folders more than ${mostDepth} deep`)
    input.expect('(')
    input.expect('type')
    const type = input.text(longestTag)
    if (type === 'directory') {
      yield { kind: 'directory', path, mode: 0o555 }
      open.push({ path, last: '' })
    } else if (type === 'symlink') {
      yield { kind: 'symlink', path, target: readTarget(input) }
      input.expect(')')
    } else if (type === 'regular') {
      yield* readFile(input, path)
    } else throw new Error('a NAR has an entry of an unknown type')

    // Up to the next name, or the end.
    let isClosed = type !== 'directory'
    for (;;) {
      const here = open.at(-1)
      if (!here) {
        isDone = true
        break
      }
      if (isClosed) input.expect(')') // of the entry in its folder
      const tag = input.text(longestTag)
      if (tag === 'entry') {
        here.last = readName(input, here.last)
        path = `${here.path}/${here.last}`
        break
      }
      if (tag !== ')') throw new Error('a NAR has an unknown word in a folder')
      open.pop()
      isClosed = true
    }
  }
  const hash = input.end()
  if (hash !== facts.narHash) throw new Error('the hash of a NAR does not match its narinfo')
}

function* readFile(input: Input, path: string): Generator<Entry> {
  let tag = input.text(longestTag)
  const isExecutable = tag === 'executable'
  if (isExecutable) {
    input.expect('')
    tag = input.text(longestTag)
  }
  if (tag !== 'contents') throw new Error('a file in a NAR has no contents')
  const size = input.number()
  let left = size
  const read = (into: Uint8Array): number => {
    if (left === 0 || into.length === 0) return 0
    const got = input.take(into.subarray(0, Math.min(into.length, left)))
    left -= got
    return got
  }
  yield {
    kind: 'file',
    path,
    mode: isExecutable ? 0o555 : 0o444,
    content: { size, open: () => ({ read, close: () => {} }) },
  }
  while (left > 0) left -= input.take(skipped.subarray(0, Math.min(skipped.length, left)))
  input.skipPadding(size)
  input.expect(')')
}

function readTarget(input: Input): string {
  input.expect('target')
  const target = input.text(longestTarget)
  if (target === '' || target.includes('\0')) throw new Error('a NAR has an invalid link target')
  return target
}

function readName(input: Input, last: string): string {
  input.expect('(')
  input.expect('name')
  const name = input.text(longestName)
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw new Error('a NAR has an invalid name')
  }
  if (name <= last) throw new Error('a NAR has its names out of order')
  input.expect('node')
  return name
}

type Input = {
  /** A count of bytes, below 2^53. */
  number(): number
  /** A string, as latin1. */
  text(longest: number): string
  expect(text: string): void
  /** Fills a part of `into`, at least one byte. */
  take(into: Uint8Array): number
  skipPadding(size: number): void
  /** Checks that nothing follows and the size is right, and returns the hash. */
  end(): string
}

/** Reads the parts of a NAR, and counts and hashes all bytes. */
function openInput(source: Pick<FileReader, 'read'>, narSize: number): Input {
  const buffer = Buffer.allocUnsafe(bufferSize)
  const hash = createHash('sha256')
  let total = 0
  let [start, end] = [0, 0]

  const pull = (into: Uint8Array): number => {
    const got = source.read(into)
    total += got
    if (total > narSize) throw new Error('a NAR is larger than its narinfo says')
    if (got > 0) hash.update(into.subarray(0, got))
    return got
  }
  const must = (got: number): number => {
    if (got === 0) throw new Error('a NAR ends too early')
    return got
  }
  /** Consumes `size` bytes, and returns where they begin in the buffer. */
  const next = (size: number): number => {
    if (start === end) [start, end] = [0, 0]
    else if (end - start < size && bufferSize - start < size) {
      buffer.copyWithin(0, start, end)
      ;[start, end] = [0, end - start]
    }
    while (end - start < size) end += must(pull(buffer.subarray(end)))
    start += size
    return start - size
  }
  const number = (): number => {
    const at = next(8)
    const high = buffer.readUInt32LE(at + 4)
    if (high >= 2 ** 21) throw new Error('a NAR has an excessive length')
    return high * 2 ** 32 + buffer.readUInt32LE(at)
  }
  const skipPadding = (size: number): void => {
    const count = (8 - (size % 8)) % 8
    const at = next(count)
    for (let index = 0; index < count; index++) {
      if (buffer[at + index] !== 0) throw new Error('a NAR has padding that is not zero')
    }
  }
  const text = (longest: number): string => {
    const size = number()
    if (size > longest) throw new Error('a NAR has a string that is too long')
    const at = next(size)
    const value = buffer.toString('latin1', at, at + size)
    skipPadding(size)
    return value
  }
  return {
    number,
    text,
    skipPadding,
    expect(wanted) {
      if (text(longestTag) !== wanted)
        throw new Error(`a NAR lacks ${JSON.stringify(wanted)} where it must be`)
    },
    take(into) {
      if (start === end) return must(pull(into))
      const count = Math.min(into.length, end - start)
      into.set(buffer.subarray(start, start + count))
      start += count
      return count
    },
    end() {
      if (start < end || pull(buffer) > 0) throw new Error('a NAR has bytes after its end')
      if (total !== narSize) throw new Error('a NAR is smaller than its narinfo says')
      return sriOf(hash.digest())
    },
  }
}
