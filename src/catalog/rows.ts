import type { Insertable, Selectable } from 'kysely'
import { parseDigest, type Digest } from '../image/digest.ts'
import { mediaTypes, type Compression, type Layer } from '../image/oci.ts'
import { parseStorePath, type PathFacts } from '../image/store-path.ts'
import type { Member } from './catalog.ts'
import type { Tables } from './schema.ts'

/** The code of the error that a row with impossible values gives: its database is damaged. */
export const rowDamaged = 'ROW_DAMAGED'

// A damaged page may still be a valid one with other values: the database itself finds only what breaks its form.
const sound = <Row, T>(read: (row: Row) => T): ((row: Row) => T) => {
  return (row) => {
    try {
      return read(row)
    } catch (cause) {
      throw Object.assign(new Error('a row of the catalog is damaged', { cause }), { code: rowDamaged })
    }
  }
}

const count = (value: unknown): number => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new Error('is no count')
}
const text = (value: unknown): string => {
  if (typeof value === 'string') return value
  throw new Error('is no text')
}
const json = (value: unknown): string => {
  JSON.parse(text(value))
  return value as string
}
const digest = (value: unknown): Digest => parseDigest(text(value))
const maybe = <T>(read: (value: unknown) => T, value: unknown): T | undefined =>
  value === null ? undefined : read(value)

const compression = (value: unknown): Compression => {
  if (Object.hasOwn(mediaTypes.oci.layer, text(value))) return value as Compression
  throw new Error('is no compression')
}

export const layerOf = sound((row: Selectable<Tables['layers']>): Layer => ({
  digest: digest(row.digest),
  diffId: digest(row.diff_id),
  size: count(row.size),
  compression: compression(row.compression),
}))

export const memberOf = sound((row: Selectable<Tables['members']>): Member => ({
  key: row.key,
  digest: digest(row.digest),
  offset: count(row.offset),
  length: count(row.length),
}))

export const factsOf = sound((row: Selectable<Tables['paths']>): PathFacts => ({
  storePath: parseStorePath(row.store_path),
  narHash: text(row.nar_hash),
  narSize: count(row.nar_size),
  references: (JSON.parse(row.path_references) as string[]).map(parseStorePath),
}))

export const rowOf = (facts: PathFacts): Insertable<Tables['paths']> => ({
  store_path: facts.storePath,
  nar_hash: facts.narHash,
  nar_size: facts.narSize,
  path_references: JSON.stringify(facts.references),
})

export const valueOf = sound((value: unknown): string => json(value))
export const sizeOf = sound((value: unknown): number => count(value))
export const textOf = sound((value: unknown): string => text(value))
export const digestOfRow = sound((value: unknown): Digest => digest(value))
export const timeOf = sound((value: unknown): number | undefined => maybe(count, value))
