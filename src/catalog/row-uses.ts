import { setImmediate as breathe } from 'node:timers/promises'
import { sql, type Kysely, type RawBuilder } from 'kysely'
import { batchesOf } from './batches.ts'
import type { Catalog, CatalogRows, ImageKey } from './catalog.ts'
import { readRows, rootsOf, sizeOf, textOf } from './rows.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Tables } from './schema.ts'

const daySeconds = 86_400
// Rows per statement: it takes a few milliseconds, in which other processes cannot write.
const rowsAtOnce = 500

/** The UTC day of a time, counted from 1970. @param seconds since 1970; default: now */
export const dayOf = (seconds = Date.now() / 1000): number => Math.floor(seconds / daySeconds)

/** Records when rows were last used. */
export function rowUsesIn(db: Kysely<Tables>): Pick<Catalog, 'rememberRoots' | 'rememberRowUses'> {
  return {
    async rememberRoots(key, roots) {
      const text = JSON.stringify(roots)
      await db
        .updateTable('images')
        .set({ roots: text })
        .where('key', '=', key)
        .where('roots', 'is', null)
        .execute()
    },

    async rememberRowUses({ day, resolutions, paths }) {
      for (const batch of batchesOf(resolutions, rowsAtOnce)) {
        await db
          .updateTable('resolutions')
          .set({ used_on: day })
          .where('key', 'in', batch)
          .where((where) => where.or([where('used_on', 'is', null), where('used_on', '<', day)]))
          .execute()
        await breathe()
      }
      for (const batch of batchesOf(paths, rowsAtOnce)) {
        await db
          .updateTable('paths')
          .set({ used_on: day })
          .where('store_path', 'in', batch)
          .where((where) => where.or([where('used_on', 'is', null), where('used_on', '<', day)]))
          .execute()
        await breathe()
      }
    },
  }
}

/** Removes rows by age; every statement uses an index. */
export function rowsIn(
  db: Kysely<Tables>,
  { shrink, seconds }: Pick<CatalogRows, 'shrink'> & { readonly seconds: RawBuilder<number> },
): CatalogRows {
  return {
    shrink,

    async giveDay(day, limit) {
      const resolutions = db.selectFrom('resolutions').select('key').where('used_on', 'is', null).limit(limit)
      const first = await db
        .updateTable('resolutions')
        .set({ used_on: day })
        .where('key', 'in', resolutions)
        .executeTakeFirst()
      const paths = db.selectFrom('paths').select('store_path').where('used_on', 'is', null).limit(limit)
      const second = await db
        .updateTable('paths')
        .set({ used_on: day })
        .where('store_path', 'in', paths)
        .executeTakeFirst()
      return Number(first.numUpdatedRows + second.numUpdatedRows)
    },

    async forgetResolutions(before, limit, revision) {
      const unused = db
        .selectFrom('resolutions')
        .select('key')
        .where('used_on', '<', before)
        .$if(revision !== undefined, (query) => query.where('revision', '=', revision ?? ''))
        .limit(limit)
      const { numDeletedRows } = await db
        .deleteFrom('resolutions')
        .where('key', 'in', unused)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },

    async nextRevision(after) {
      const next = await db
        .selectFrom('resolutions')
        .select('revision')
        .where('revision', '>', after)
        .orderBy('revision')
        .limit(1)
        .executeTakeFirst()
      const revision = next && textOf(next.revision)
      if (revision === undefined) return undefined
      const last = await db
        .selectFrom('resolutions')
        .select('used_on')
        .where('revision', '=', revision)
        .where('used_on', 'is not', null)
        .orderBy('used_on', 'desc')
        .limit(1)
        .executeTakeFirst()
      // The next collection sets the day of rows without one.
      return { revision, usedOn: (last && sizeOf(last.used_on)) ?? dayOf() }
    },

    async unusedPaths(before, limit) {
      const rows = await db
        .selectFrom('paths')
        .select('store_path')
        .where('used_on', '<', before)
        .limit(limit)
        .execute()
      // Not parsed: invalid store paths must be removed, too.
      return readRows(rows, ({ store_path: path }) => textOf(path)) as StorePath[]
    },

    async keepPaths(paths, day) {
      if (paths.length === 0) return
      await db.updateTable('paths').set({ used_on: day }).where('store_path', 'in', paths).execute()
    },

    async forgetPaths(paths, before) {
      if (paths.length === 0) return 0
      const { numDeletedRows } = await db
        .deleteFrom('paths')
        .where('store_path', 'in', paths)
        .where('used_on', '<', before)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },

    async forgetCacheFiles(before, missingBefore, limit) {
      const old = db
        .selectFrom('cache_files')
        .select('address')
        .where('asked_at', '<', Math.max(before, missingBefore))
        .where((where) => where.or([where('text', 'is', null), where('asked_at', '<', before)]))
        .limit(limit)
      const { numDeletedRows } = await db
        .deleteFrom('cache_files')
        .where('address', 'in', old)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },

    async forgetQuotaUses(limit) {
      // Evaluated once for the statement; PostgreSQL uses the index only then.
      const now = sql<number>`(select ${seconds})`
      const ended = db.selectFrom('quota_uses').select('key').where('ends_at', '<', now).limit(limit)
      const { numDeletedRows } = await db
        .deleteFrom('quota_uses')
        .where('key', 'in', ended)
        .where('ends_at', '<', now)
        .executeTakeFirst()
      return Number(numDeletedRows)
    },

    async references(paths) {
      if (paths.length === 0) return []
      const rows = await db
        .selectFrom('paths')
        .select('path_references')
        .where('store_path', 'in', paths)
        .execute()
      return [...new Set(readRows(rows, ({ path_references: text }) => rootsOf(text)).flat())]
    },

    async imageRoots({ after, limit }) {
      const rows = await db
        .selectFrom('images')
        .select(['key', 'roots'])
        .$if(after !== undefined, (query) => query.where('key', '>', after as ImageKey))
        .orderBy('key')
        .limit(limit)
        .execute()
      return rows.map(({ key, roots }) => ({ key, roots: rootsOf(roots) ?? [] }))
    },
  }
}
