import type { ColumnDefinitionBuilder, Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Compression } from '../image/oci.ts'

/** The tables. Sizes and offsets are bytes, times seconds since 1970; JSON columns hold text. */
export type Tables = {
  /** Packages looked up in a revision of a package set. */
  resolutions: { key: string; resolution: string }
  /** What Nix knows of store paths. */
  paths: { store_path: string; nar_hash: string; nar_size: number; path_references: string }
  /** Where the compressed tar entries of one store path lie. */
  members: { key: string; digest: string; offset: number; length: number }
  layers: { key: string; digest: string; diff_id: string; size: number; compression: Compression }
  images: { key: string; image: string; made_at: number; pulled_at: number | null }
  /** Blobs whose bytes were hashed when they were stored, or since; those that are `withdrawn` are to be deleted. */
  blobs: {
    digest: string
    size: number
    used_at: number | null
    withdrawn: number | null
    /** What the blob's file was like when it was last hashed. */
    mark: string | null
  }
  /** Images that were asked for by name and given; `count` says how often. */
  pulls: {
    repository: string
    tag: string
    architecture: string
    image: string
    pulled_at: number
    count: number
  }
  /** What is to be known of the catalog itself. */
  about: { key: string; value: string }
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
  '0002': {
    async up(db: Kysely<unknown>) {
      const now = Math.floor(Date.now() / 1000)
      const add = (
        table: string,
        column: string,
        build: (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder = (same) => same,
      ) => db.schema.alterTable(table).addColumn(column, 'bigint', build).execute()
      // Of images that are there already nobody knows when they were made: as if now.
      await add('images', 'made_at', (column) => column.notNull().defaultTo(now))
      await add('images', 'pulled_at')
      await add('blobs', 'used_at')
      await add('blobs', 'withdrawn')
      await db.schema.alterTable('blobs').addColumn('mark', 'text').execute()
      await db.schema
        .createTable('pulls')
        .addColumn('repository', 'text', notNull)
        .addColumn('tag', 'text', notNull)
        .addColumn('architecture', 'text', notNull)
        .addColumn('image', 'text', notNull)
        .addColumn('pulled_at', 'bigint', notNull)
        .addColumn('count', 'bigint', notNull)
        .addPrimaryKeyConstraint('pulls_key', ['repository', 'tag', 'architecture'])
        .execute()
      // Forgetting a blob or an image, and what upkeep asks again and again, must not read all of a table.
      for (const [table, column] of [
        ['members', 'digest'],
        ['layers', 'digest'],
        ['pulls', 'image'],
        ['images', 'made_at'],
        ['images', 'pulled_at'],
      ] as const) {
        await db.schema.createIndex(`${table}_${column}`).on(table).column(column).execute()
      }
      await db.schema
        .createTable('about')
        .addColumn('key', 'text', (column) => column.primaryKey())
        .addColumn('value', 'text', notNull)
        .execute()
      const about = db as Kysely<Pick<Tables, 'about'>>
      await about
        .insertInto('about')
        .values({ key: 'born', value: String(now) })
        .execute()
    },
  },
}

const notNull = <T extends { notNull(): T }>(column: T): T => column.notNull()
