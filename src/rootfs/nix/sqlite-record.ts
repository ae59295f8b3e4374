/** A value: SQLite's NULL, INTEGER (non-negative safe integers) or TEXT in ASCII. */
export type Value = null | number | string

/** Larger payloads in an index need overflow pages, for pages of 4096 bytes. */
const maxPayload = 1002

// Rows are built in this buffer, and copied once.
const buffer = Buffer.alloc(2 * maxPayload)

/** Encodes a row as a cell of a table's leaf page: size, rowid and record. */
export const tableCell = (values: readonly Value[], rowid: number): Buffer => cellOf(values, rowid)

/** Encodes a row as a cell of an index: size and record. */
export const indexCell = (values: readonly Value[]): Buffer => cellOf(values)

/** @see https://www.sqlite.org/fileformat2.html#record_format */
function cellOf(values: readonly Value[], rowid?: number): Buffer {
  const types = values.map(typeOf)
  // The header size includes itself: one byte, since rows have few columns.
  const header = types.reduce((sum, type) => sum + varintSize(type), 1)
  const size = types.reduce((sum, type) => sum + sizeOf(type), header)
  if (size > maxPayload) throw new Error(`a row of ${size} bytes is too long`)
  let at = putVarint(size, 0)
  if (rowid !== undefined) at = putVarint(rowid, at)
  at = putVarint(header, at)
  for (const type of types) at = putVarint(type, at)
  for (const [index, type] of types.entries()) {
    const value = values[index] ?? null
    if (typeof value === 'string') buffer.write(value, at, 'latin1')
    else if (value !== null && sizeOf(type) > 0) putInteger(value, at, sizeOf(type))
    at += sizeOf(type)
  }
  return Buffer.from(buffer.subarray(0, at))
}

/** Encodes a safe integer as a variable-length integer. */
export function varint(value: number): Buffer {
  return Buffer.from(buffer.subarray(0, putVarint(value, 0)))
}

/** Writes a variable-length integer, highest bits first, and returns its end. */
function putVarint(value: number, at: number): number {
  const end = at + varintSize(value)
  let rest = value
  for (let place = end - 1; place >= at; place -= 1) {
    buffer[place] = (rest % 128) + (place === end - 1 ? 0 : 128)
    rest = Math.floor(rest / 128)
  }
  return end
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 128; rest /= 128) size += 1
  return size
}

/** The size of an integer by its serial type, in bytes. */
const integerSizes = [0, 1, 2, 3, 4, 6, 8]

/** The serial type: 0 for NULL, 8 and 9 for the constants 0 and 1. */
function typeOf(value: Value): number {
  if (value === null) return 0
  if (typeof value === 'string') return 13 + 2 * value.length
  if (value === 0 || value === 1) return 8 + value
  // Integers are signed.
  return integerSizes.findIndex((size) => value < 2 ** (8 * size - 1))
}

const sizeOf = (type: number): number => (type >= 13 ? (type - 13) / 2 : (integerSizes[type] ?? 0))

function putInteger(value: number, at: number, size: number): void {
  let rest = value
  for (let place = at + size - 1; place >= at; place -= 1) {
    buffer[place] = rest % 256
    rest = Math.floor(rest / 256)
  }
}
