import type { Insertable, Selectable } from 'kysely'
import { parseDigest, type Digest } from '../image/digest.ts'
import { mediaTypes, type Compression } from '../image/oci.ts'
import { parseStorePath, type PathFacts, type StorePath } from '../image/store-path.ts'
import type {
  BlobRecord,
  CacheFile,
  ImageKey,
  ImageRecord,
  KnownLayer,
  Member,
  MemberKey,
  Parse,
} from './catalog.ts'
import { isBeingDeleted } from './mark-rows.ts'
import type { SearchIndex } from './search-indexes.ts'
import type { Tables } from './schema.ts'

/**
 * Reads a row or a value of the database; undefined if it is invalid: a later version of this program may have written
 * it, or it may be damaged without SQLite noticing. The catalog treats it as missing, and the next write replaces it.
 */
const readable = <Row, T>(read: (row: Row) => T): ((row: Row) => T | undefined) => {
  return (row) => {
    try {
      return read(row)
    } catch {
      return undefined
    }
  }
}

const count = (value: unknown): number => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new Error('is not a count')
}
const text = (value: unknown): string => {
  if (typeof value === 'string') return value
  throw new Error('is not a text')
}
const digest = (value: unknown): Digest => parseDigest(text(value))
const maybe = <T>(read: (value: unknown) => T, value: unknown): T | undefined =>
  value === null ? undefined : read(value)

const compression = (value: unknown): Compression => {
  if (Object.hasOwn(mediaTypes.oci.layer, text(value))) return value as Compression
  throw new Error('is not a compression')
}

/** The columns that `layerOf` reads, and so on. */
export const layerColumns = ['key', 'digest', 'diff_id', 'size', 'compression', 'facts'] as const
export const memberColumns = ['key', 'digest', 'offset', 'length'] as const
export const factsColumns = ['store_path', 'nar_hash', 'nar_size', 'path_references'] as const
export const cacheFileColumns = ['address', 'text', 'asked_at'] as const

export const layerOf = readable((row: Selectable<Tables['layers']>): KnownLayer => ({
  digest: digest(row.digest),
  diffId: digest(row.diff_id),
  size: count(row.size),
  compression: compression(row.compression),
  ...(row.facts !== null && { facts: text(row.facts) }),
}))

export const memberOf = readable((row: Selectable<Tables['members']>): Member => ({
  key: text(row.key) as MemberKey,
  digest: digest(row.digest),
  offset: count(row.offset),
  length: count(row.length),
}))

export const factsOf = readable(
  (row: Omit<Selectable<Tables['paths']>, 'used_on' | 'listing'>): PathFacts => ({
    storePath: parseStorePath(row.store_path),
    narHash: text(row.nar_hash),
    narSize: count(row.nar_size),
    references: (JSON.parse(text(row.path_references)) as string[]).map(parseStorePath),
  }),
)

/** The row of a path that is used today. */
export const rowOf = (facts: PathFacts): Insertable<Tables['paths']> => ({
  store_path: facts.storePath,
  nar_hash: facts.narHash,
  nar_size: facts.narSize,
  path_references: JSON.stringify(facts.references),
})

export const cacheFileOf = readable((row: Selectable<Tables['cache_files']>): CacheFile => ({
  address: text(row.address),
  text: maybe(text, row.text),
  askedAt: count(row.asked_at),
}))

/** Store paths in JSON; empty if there are none. */
export const rootsOf = readable((value: unknown): StorePath[] =>
  value === null ? [] : (JSON.parse(text(value)) as string[]).map(parseStorePath),
)

/** Parses the JSON of a value of another room. */
export const valueOf = <T>(value: unknown, parse: Parse<T>): T | undefined =>
  readable((json: unknown) => parse(text(json)))(value)

export const sizeOf = readable((value: unknown): number => count(value))
export const textOf = readable((value: unknown): string => text(value))

export const imageRecordOf = <T>(parse: Parse<T>) =>
  readable((row: Omit<Selectable<Tables['images']>, 'roots'>): ImageRecord<T> => ({
    key: text(row.key) as ImageKey,
    image: valueOf(row.image, parse),
    madeAt: count(row.made_at),
    pulledAt: maybe(count, row.pulled_at),
  }))

export const blobRecordOf = readable(
  (row: Pick<Selectable<Tables['blobs']>, 'digest' | 'used_at' | 'withdrawn'>): BlobRecord => ({
    digest: digest(row.digest),
    usedAt: maybe(count, row.used_at),
    withdrawn: row.withdrawn !== null,
    ...((row.withdrawn ?? 0) > isBeingDeleted && { markedAt: count(row.withdrawn) }),
  }),
)

export const searchIndexOf = readable(
  (row: Pick<Selectable<Tables['search_indexes']>, keyof SearchIndex>): SearchIndex => ({
    digest: digest(row.digest),
    size: count(row.size),
    rules: text(row.rules),
    revision: text(row.revision),
  }),
)

/** The valid rows among these. */
export function readRows<Row, T>(rows: readonly Row[], read: (row: Row) => T | undefined): T[] {
  return rows.flatMap((row) => {
    const value = read(row)
    return value === undefined ? [] : [value]
  })
}
