import { BaseProblem } from './errors.ts'

/** The header of an entry of a tar archive. Names and targets are byte strings (`latin1`). */
export type TarEntry = {
  /** The type flag: `0` file, `1` hard link, `2` symbolic link, `5` directory, … */
  readonly type: string
  readonly path: string
  readonly target: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** The size of its content in bytes. */
  readonly size: number
}

/** Receives the content of an entry; undefined if it is not needed. */
export type TakeContent = ((bytes: Uint8Array) => void) | undefined

const record = 512
// The maximum size of an extended header in bytes: paths, targets and attributes.
const mostExtended = 1024 * 1024

/**
 * Parses a tar archive incrementally, in little memory: ustar, with the extensions of POSIX (pax) and GNU for long
 * names and large numbers. Layers of images are such archives (OCI image spec, layer.md).
 * @param onEntry called for each entry; returns the receiver of its content
 */
export function createTarReader(onEntry: (entry: TarEntry) => TakeContent) {
  const header = Buffer.alloc(record)
  let filled = 0
  /** The remaining bytes of content and of the padding after it. */
  let left = 0
  let padding = 0
  let take: TakeContent
  /** Called when the content is complete. */
  let atEnd: (() => void) | undefined
  let fromPax: ReadonlyMap<string, string> = new Map()
  let globals: ReadonlyMap<string, string> = new Map()
  let longName: string | undefined
  let longTarget: string | undefined
  let ended = false

  const collect = (size: number, use: (bytes: Buffer) => void): void => {
    if (size > mostExtended)
      throw new BaseProblem(`one of its layers has a name or attributes of ${size} bytes`)
    const bytes = Buffer.alloc(size)
    let at = 0
    take = (piece) => {
      bytes.set(piece, at)
      at += piece.length
    }
    atEnd = () => use(bytes)
  }

  function onHeader(): void {
    if (header.every((byte) => byte === 0)) {
      ended = true
      return
    }
    checkSum(header)
    const type = header.toString('latin1', 156, 157)
    const isExtended = 'xgLK'.includes(type) && type !== '\0'
    const pax = isExtended ? undefined : fromPax
    const numberOf = (key: string, start: number, end: number) => {
      const text = pax?.get(key)
      return text === undefined ? numberIn(header, start, end) : wholeOf(text)
    }
    const size = numberOf('size', 124, 136)
    left = size
    padding = (record - (size % record)) % record
    take = undefined
    atEnd = undefined
    if (type === 'x' || type === 'g') {
      return collect(size, (bytes) => {
        const records = recordsOf(bytes)
        if (type === 'x') fromPax = new Map([...globals, ...records])
        else {
          globals = new Map([...globals, ...records])
          fromPax = globals
        }
      })
    }
    if (type === 'L') return collect(size, (bytes) => void (longName = cString(bytes, 0, bytes.length)))
    if (type === 'K') return collect(size, (bytes) => void (longTarget = cString(bytes, 0, bytes.length)))
    if (type === 'S') throw new BaseProblem('one of its layers has sparse files in an old form of GNU tar')
    const isUstar = header.toString('latin1', 257, 263) === 'ustar\0'
    const prefix = isUstar ? cString(header, 345, 500) : ''
    const name = cString(header, 0, 100)
    const entry: TarEntry = {
      type: type === '\0' || type === '7' ? '0' : type,
      // GNU tar stores sparse files with another name in `path`.
      path:
        fromPax.get('GNU.sparse.name') ??
        fromPax.get('path') ??
        longName ??
        (prefix === '' ? name : `${prefix}/${name}`),
      target: fromPax.get('linkpath') ?? longTarget ?? cString(header, 157, 257),
      mode: numberIn(header, 100, 108) & 0o7777,
      uid: numberOf('uid', 108, 116),
      gid: numberOf('gid', 116, 124),
      size,
    }
    // Links have no content, whatever the size says.
    if ('12'.includes(entry.type)) [left, padding] = [0, 0]
    fromPax = globals
    longName = undefined
    longTarget = undefined
    take = onEntry(entry)
  }

  return {
    /** Processes the next bytes. @throws BaseProblem */
    write(chunk: Uint8Array): void {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      for (let at = 0; at < bytes.length && !ended;) {
        const rest = bytes.length - at
        if (left > 0) {
          const count = Math.min(left, rest)
          take?.(bytes.subarray(at, at + count))
          left -= count
          at += count
        } else if (atEnd) {
          atEnd()
          atEnd = undefined
        } else if (padding > 0) {
          const count = Math.min(padding, rest)
          padding -= count
          at += count
        } else {
          const count = Math.min(record - filled, rest)
          bytes.copy(header, filled, at, at + count)
          filled += count
          at += count
          if (filled < record) return
          filled = 0
          onHeader()
        }
      }
    },
    /** Ends the input. @throws BaseProblem if the archive is truncated */
    end(): void {
      if (!ended && (left > 0 || filled > 0))
        throw new BaseProblem('one of its layers ends in the middle of a file')
    },
  }
}

function checkSum(header: Buffer): void {
  let sum = 0
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 32 : byte
  const checksum = cString(header, 148, 156).trim()
  if (!/^[0-7]+$/.test(checksum) || Number.parseInt(checksum, 8) !== sum)
    throw new BaseProblem('one of its layers is not a tar archive')
}

function cString(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('latin1', start, end)
  const nul = text.indexOf('\0')
  return nul === -1 ? text : text.slice(0, nul)
}

/** Parses an octal number, or GNU's base 256. */
function numberIn(bytes: Buffer, start: number, end: number): number {
  const first = bytes[start] ?? 0
  if ((first & 0x80) === 0) {
    const text = cString(bytes, start, end).trim()
    return text === '' ? 0 : wholeOf(text, 8)
  }
  let value = first & 0x7f
  for (let at = start + 1; at < end; at += 1) value = value * 256 + (bytes[at] ?? 0)
  return checkedNumber(value)
}

const wholeOf = (text: string, base = 10): number =>
  checkedNumber(/^\d+$/.test(text) ? Number.parseInt(text, base) : NaN)

function checkedNumber(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new BaseProblem('one of its layers has a number that cannot be read')
}

/** The records of an extended header: `LENGTH KEY=VALUE\n` (POSIX pax, "Extended Header"). */
function recordsOf(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at)
    const length = space === -1 ? 0 : wholeOf(bytes.toString('latin1', at, space))
    const equals = bytes.indexOf(0x3d, space)
    if (length === 0 || at + length > bytes.length || equals === -1 || equals >= at + length) {
      throw new BaseProblem('one of its layers has an extended header that cannot be read')
    }
    const key = bytes.toString('latin1', space + 1, equals)
    if (wanted.has(key)) records.set(key, bytes.toString('latin1', equals + 1, at + length - 1))
    at += length
  }
  return records
}

const wanted: ReadonlySet<string> = new Set(['path', 'linkpath', 'size', 'uid', 'gid', 'GNU.sparse.name'])
