import { Header, type HeaderData } from 'tar/header'
import type { Owner } from '../contents/entry.ts'

/** What a header tells of an entry; see `Entry` in `contents/entry.ts`. */
export type Described =
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
/** What fills up a record of 512 bytes. */
export const padding = (size: number): Uint8Array => zeros.subarray(0, (512 - (size % 512)) % 512)

/**
 * An entry's header block, behind a PAX header if the block cannot say everything.
 * @param size bytes of a file, else 0
 */
export function headerOf(entry: Described, size: number): Uint8Array {
  const path = entry.kind === 'directory' ? `${entry.path}/` : entry.path
  const target = entry.kind === 'symlink' ? entry.target : ''
  const [plainPath, plainTarget] = [plain(path), plain(target)]
  const mode = entry.kind === 'symlink' ? 0o777 : entry.mode
  const owner = entry.kind === 'symlink' ? undefined : entry.owner
  const fields = { type: types[entry.kind], mode, size, path: plainPath, linkpath: plainTarget, ...owner }
  const [header, isWhole] = encoded(fields)
  if (isWhole && path === plainPath && target === plainTarget) return header

  const records = [paxRecord('path', path)]
  if (entry.kind === 'symlink') records.push(paxRecord('linkpath', target))
  if (size > largestSize) records.push(paxRecord('size', String(size)))
  const body = Buffer.concat(records)
  const [extended] = encoded({ type: 'ExtendedHeader', mode: 0o644, size: body.length, path: 'PaxHeader' })
  return Buffer.concat([extended, body, padding(body.length), header])
}

const types = { directory: 'Directory', symlink: 'SymbolicLink', file: 'File' } as const

/**
 * A header block, and whether it could say everything. The library's, but for a long path: it looks for where to
 * split one in steps that each take as long as the path, which for nested folders adds up to the cube of their depth.
 * @param fields with a path in ASCII
 */
export function encoded(fields: HeaderData & { readonly path: string }): [block: Buffer, isWhole: boolean] {
  const split = splitPath(fields.path)
  // Its constructor's way of taking the fields takes twice as long as encoding them.
  const header = Object.assign(new Header(), common, fields, split && { path: '' })
  const needsPax = header.encode()
  const { block } = header
  if (!block) throw new Error('tar header was not encoded')
  if (!split) return [block, !needsPax]
  block.write(split.name, 0, nameSize, 'latin1')
  block.write(split.prefix, prefixAt, prefixSize, 'latin1')
  writeChecksum(block)
  return [block, !needsPax && split.isWhole]
}

const common = { uid: 0, gid: 0, uname: '', gname: '', mtime }
const largestSize = 0o77777777777

// Fields of the ustar format (POSIX pax, "ustar Interchange Format").
const [nameSize, prefixAt, prefixSize, checksumAt] = [100, 345, 155, 148]

/**
 * What of a long path goes into the field for the name, and what into the prefix, as the library has it; undefined
 * where it is quick itself: for a short one, and for one that it would make simpler.
 */
function splitPath(path: string): { name: string; prefix: string; isWhole: boolean } | undefined {
  if (path.length < nameSize) return undefined
  const trimmed = path.endsWith('/') ? path.slice(0, -1) : path
  if (odder.test(trimmed)) return undefined
  const isOne = !trimmed.includes('/')
  const cut = isOne ? -1 : trimmed.lastIndexOf('/', prefixSize)
  if (!isOne && cut < 0) return { name: path.slice(0, nameSize - 1), prefix: '', isWhole: false }
  const name = trimmed.slice(cut + 1)
  const prefix = isOne ? '.' : trimmed.slice(0, cut)
  const isWhole = name.length <= nameSize
  return { name: isWhole ? name : name.slice(0, nameSize - 1), prefix, isWhole }
}

// An absolute path, and parts that are empty, "." or "..": what no store path has.
const odder = /(?:^|\/)\.{0,2}(?:\/|$)/

function writeChecksum(block: Buffer): void {
  block.fill(' ', checksumAt, checksumAt + 8)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')} \0`, checksumAt, 8, 'latin1')
}

/** ASCII as it is; the header block of a name with other bytes is never read, as PAX has the true one. */
const plain = (text: string): string => (odd.test(text) ? text.replaceAll(allOdd, '_') : text)
const odd = /[^\x20-\x7e]/
const allOdd = new RegExp(odd, 'g')

/**
 * `<length> <key>=<value>\n`, the length counting itself (POSIX pax, "pax Extended Header"). Ours, because the
 * library's takes text and would change bytes that are not UTF-8.
 */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return bytesOf(`${length}${rest}`)
}
