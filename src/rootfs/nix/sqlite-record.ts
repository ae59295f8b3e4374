/** What a row holds: SQLite's NULL, INTEGER (safe integers, not negative) and TEXT in ASCII. */
export type Value = null | number | string

/** From this size on a payload would have to go to an overflow page: for pages of 4096 bytes, in an index. */
const maxPayload = 1002

// A database has many small rows: each is put together here, and copied once.
const room = Buffer.alloc(2 * maxPayload)

/** A row as a cell of a table's leaf: its size, its rowid and its record. */
export const tableCell = (values: readonly Value[], rowid: number): Buffer => cellOf(values, rowid)

/** A row as a cell of an index: its size and its record. */
export const indexCell = (values: readonly Value[]): Buffer => cellOf(values)

/** @see https://www.sqlite.org/fileformat2.html#record_format */
function cellOf(values: readonly Value[], rowid?: number): Buffer {
  const types = values.map(typeOf)
  // The header counts itself, in a byte: rows have few columns.
  const header = types.reduce((sum, type) => sum + varintSize(type), 1)
  const size = types.reduce((sum, type) => sum + sizeOf(type), header)
  if (size > maxPayload) throw new Error(`a row of ${size} bytes is too long`)
  let at = putVarint(size, 0)
  if (rowid !== undefined) at = putVarint(rowid, at)
  at = putVarint(header, at)
  for (const type of types) at = putVarint(type, at)
  for (const [index, type] of types.entries()) {
    const value = values[index] ?? null
    if (typeof value === 'string') room.write(value, at, 'latin1')
    else if (value !== null && sizeOf(type) > 0) putInteger(value, at, sizeOf(type))
    at += sizeOf(type)
  }
  return Buffer.from(room.subarray(0, at))
}

/** The variable-length integer of the file format, for safe integers. */
export function varint(value: number): Buffer {
  return Buffer.from(room.subarray(0, putVarint(value, 0)))
}

/** Puts one there, the highest bits first, and returns where it ends. */
function putVarint(value: number, at: number): number {
  const end = at + varintSize(value)
  let rest = value
  for (let place = end - 1; place >= at; place -= 1) {
    room[place] = (rest % 128) + (place === end - 1 ? 0 : 128)
    rest = Math.floor(rest / 128)
  }
  return end
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 128; rest /= 128) size += 1
  return size
}

/** Bytes of an integer by its serial type. */
const integerSizes = [0, 1, 2, 3, 4, 6, 8]

/** The serial type: 0 for NULL, 8 and 9 for the numbers 0 and 1 themselves. */
function typeOf(value: Value): number {
  if (value === null) return 0
  if (typeof value === 'string') return 13 + 2 * value.length
  if (value === 0 || value === 1) return 8 + value
  // Signed: the highest bit stays free.
  return integerSizes.findIndex((size) => value < 2 ** (8 * size - 1))
}

const sizeOf = (type: number): number => (type >= 13 ? (type - 13) / 2 : (integerSizes[type] ?? 0))

function putInteger(value: number, at: number, size: number): void {
  let rest = value
  for (let place = at + size - 1; place >= at; place -= 1) {
    room[place] = rest % 256
    rest = Math.floor(rest / 256)
  }
}
