/** What a cell of a database holds: SQLite's NULL, INTEGER (safe integers, not negative) and TEXT. */
export type Value = null | number | string

/** A row as SQLite stores it (https://www.sqlite.org/fileformat2.html#record_format). */
export function recordOf(values: readonly Value[]): Buffer {
  const fields = values.map(fieldOf)
  const types = Buffer.concat(fields.map(({ type }) => varint(type)))
  // The header's length counts itself, and its varint is one byte long up to 127.
  const length = types.length + 1 <= 127 ? 1 : 2
  return Buffer.concat([varint(types.length + length), types, ...fields.map(({ bytes }) => bytes)])
}

/** The variable-length integer of the file format, for numbers below 2^53; the first byte holds the highest bits. */
export function varint(value: number): Buffer {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift((rest % 128) + 128)
  }
  return Buffer.from(bytes)
}

/** Bytes of an integer by its serial type; the types 8 and 9 stand for 0 and 1 themselves. */
const integerSizes: readonly (readonly [type: number, size: number])[] = [
  [1, 1],
  [2, 2],
  [3, 3],
  [4, 4],
  [5, 6],
]

function fieldOf(value: Value): { type: number; bytes: Buffer } {
  if (value === null) return { type: 0, bytes: Buffer.alloc(0) }
  if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    return { type: 13 + 2 * bytes.length, bytes }
  }
  if (value === 0 || value === 1) return { type: 8 + value, bytes: Buffer.alloc(0) }
  // Signed: the highest bit stays free.
  const [type, size] = integerSizes.find(([, bytes]) => value < 2 ** (8 * bytes - 1)) ?? [6, 8]
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return { type, bytes: bytes.subarray(8 - size) }
}
