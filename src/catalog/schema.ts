import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Compression } from '../image/oci.ts'

/** The tables. Sizes and offsets are bytes; JSON columns hold text. */
export type Tables = {
  /** Packages looked up in a revision of a package set. */
  resolutions: { key: string; resolution: string }
  /** What Nix knows of store paths. */
  paths: { store_path: string; nar_hash: string; nar_size: number; path_references: string }
  /** Where the compressed tar entries of one store path lie. */
  members: { key: string; digest: string; offset: number; length: number }
  layers: { key: string; digest: string; diff_id: string; size: number; compression: Compression }
  images: { key: string; image: string }
  /** Blobs whose bytes were hashed when they were stored, or since. */
  blobs: { digest: string; size: number }
}

/** The columns of each table, its key first. */
export const columns: { [T in keyof Tables]: readonly [string, ...string[]] } = {
  resolutions: ['key', 'resolution'],
  paths: ['store_path', 'nar_hash', 'nar_size', 'path_references'],
  members: ['key', 'digest', 'offset', 'length'],
  layers: ['key', 'digest', 'diff_id', 'size', 'compression'],
  images: ['key', 'image'],
  blobs: ['digest', 'size'],
}

/** In the order of their names. A landed migration is never changed; a new one is added. */
export const migrations: Record<string, Migration> = {
  '0001': {
    async up(db: Kysely<unknown>) {
      const keyed = (table: string, key: string) =>
        db.schema.createTable(table).addColumn(key, 'text', (column) => column.primaryKey())
      await keyed('resolutions', 'key').addColumn('resolution', 'text', notNull).execute()
      await keyed('paths', 'store_path')
        .addColumn('nar_hash', 'text', notNull)
        .addColumn('nar_size', 'bigint', notNull)
        .addColumn('path_references', 'text', notNull)
        .execute()
      await keyed('members', 'key')
        .addColumn('digest', 'text', notNull)
        .addColumn('offset', 'bigint', notNull)
        .addColumn('length', 'bigint', notNull)
        .execute()
      await keyed('layers', 'key')
        .addColumn('digest', 'text', notNull)
        .addColumn('diff_id', 'text', notNull)
        .addColumn('size', 'bigint', notNull)
        .addColumn('compression', 'text', notNull)
        .execute()
      await keyed('images', 'key').addColumn('image', 'text', notNull).execute()
      await keyed('blobs', 'digest').addColumn('size', 'bigint', notNull).execute()
    },
  },
}

const notNull = <T extends { notNull(): T }>(column: T): T => column.notNull()
