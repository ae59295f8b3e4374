import { Header, type HeaderData } from 'tar/header'
import type { Owner } from '../contents/entry.ts'

/** The part of an entry that its header contains; see `Entry` in `contents/entry.ts`. */
export type HeaderEntry =
  | {
      readonly kind: 'directory' | 'file'
      readonly path: string
      readonly mode: number
      readonly owner?: Owner
    }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }

const mtime = new Date(1000)
const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

const zeros = new Uint8Array(512)
/** The zeros that pad a file of this size to a whole number of 512-byte records. */
export const padding = (size: number): Uint8Array => zeros.subarray(0, (512 - (size % 512)) % 512)

/**
 * Encodes an entry's header block, preceded by a PAX header if the block cannot represent everything.
 * @param size the size of a file in bytes, or 0 for anything else
 */
export function headerOf(entry: HeaderEntry, size: number): Uint8Array {
  const path = entry.kind === 'directory' ? `${entry.path}/` : entry.path
  const target = entry.kind === 'symlink' ? entry.target : ''
  const [plainPath, plainTarget] = [plain(path), plain(target)]
  const mode = entry.kind === 'symlink' ? 0o777 : entry.mode
  const owner = entry.kind === 'symlink' ? undefined : entry.owner
  const fields = { type: types[entry.kind], mode, size, path: plainPath, linkpath: plainTarget, ...owner }
  const [header, isComplete] = encodeHeader(fields)
  if (isComplete && path === plainPath && target === plainTarget) return header

  const records = [paxRecord('path', path)]
  if (entry.kind === 'symlink') records.push(paxRecord('linkpath', target))
  if (size > largestSize) records.push(paxRecord('size', String(size)))
  const body = Buffer.concat(records)
  const [extended] = encodeHeader({
    type: 'ExtendedHeader',
    mode: 0o644,
    size: body.length,
    path: 'PaxHeader',
  })
  return Buffer.concat([extended, body, padding(body.length), header])
}

const types = { directory: 'Directory', symlink: 'SymbolicLink', file: 'File' } as const

/**
 * Encodes a header block, and reports whether it represents everything. It gives the same bytes as the tar library, but
 * splits long paths itself: the library's search takes quadratic time for each path, and cubic time for nested folders.
 * @param fields the fields, with a path in ASCII
 */
export function encodeHeader(
  fields: HeaderData & { readonly path: string },
): [block: Buffer, isComplete: boolean] {
  const split = splitPath(fields.path)
  // Passing the fields to the constructor would take twice as long as encoding them.
  const header = Object.assign(new Header(), common, fields, split && { path: '' })
  const needsPax = header.encode()
  const { block } = header
  if (!block) throw new Error('the tar library returned no header block')
  if (!split) return [block, !needsPax]
  block.write(split.name, 0, nameSize, 'latin1')
  block.write(split.prefix, prefixAt, prefixSize, 'latin1')
  writeChecksum(block)
  return [block, !needsPax && split.isComplete]
}

const common = { uid: 0, gid: 0, uname: '', gname: '', mtime }
const largestSize = 0o77777777777

// Fields of the ustar format (POSIX pax, "ustar Interchange Format").
const [nameSize, prefixAt, prefixSize, checksumAt] = [100, 345, 155, 148]

/**
 * Splits a long path into the fields for the name and the prefix, in the same way as the library. Returns undefined for
 * short paths and for paths that the library would normalize; both are fast there.
 */
function splitPath(path: string): { name: string; prefix: string; isComplete: boolean } | undefined {
  if (path.length < nameSize) return undefined
  const trimmed = path.endsWith('/') ? path.slice(0, -1) : path
  if (needsNormalizing.test(trimmed)) return undefined
  const isOne = !trimmed.includes('/')
  const cut = isOne ? -1 : trimmed.lastIndexOf('/', prefixSize)
  if (!isOne && cut < 0) return { name: path.slice(0, nameSize - 1), prefix: '', isComplete: false }
  const name = trimmed.slice(cut + 1)
  const prefix = isOne ? '.' : trimmed.slice(0, cut)
  const isComplete = name.length <= nameSize
  return { name: isComplete ? name : name.slice(0, nameSize - 1), prefix, isComplete }
}

// Absolute paths, and parts that are empty, "." or "..". Store paths have none of them.
const needsNormalizing = /(?:^|\/)\.{0,2}(?:\/|$)/

function writeChecksum(block: Buffer): void {
  block.fill(' ', checksumAt, checksumAt + 8)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')} \0`, checksumAt, 8, 'latin1')
}

/** Replaces bytes that are not printable ASCII. A PAX header then has the real name, so readers ignore this one. */
const plain = (text: string): string => (nonAscii.test(text) ? text.replaceAll(allNonAscii, '_') : text)
const nonAscii = /[^\x20-\x7e]/
const allNonAscii = new RegExp(nonAscii, 'g')

/**
 * A record `<length> <key>=<value>\n`, where the length includes itself (POSIX pax, "pax Extended Header"). The library's
 * own function takes text and would change bytes that are not UTF-8.
 */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return bytesOf(`${length}${rest}`)
}
