import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Kysely, sql, type Dialect } from 'kysely'
import { batchesOf } from './batches.ts'
import { takeLead } from './leaders.ts'
import type { SqlDatabase } from './migrate.ts'
import type { Tables } from './schema.ts'

// The number is arbitrary: it stands for changes of this program's tables.
const schemaLock = 7_263_544_119

/** Identifies this process among all that use the database. */
const me = `${hostname()} ${randomUUID()}`

/** A PostgreSQL database; the version of its schema is a row of `about`. */
/** The notification channel for blobs that may no longer be known, separated by spaces. */
export const blobsChannel = 'nixery_blobs'

let leads = 0

export function postgresOf(dialect: Dialect): SqlDatabase {
  const leading = new Kysely<Tables>({ dialect })
  return {
    dialect,
    // With a language's collation, a page of a list would not begin where the last one ended.
    text: sql`text collate "C"`,
    // Such a lock ends with its transaction, so it works through any pooler. Users of a table delay changes of it, and
    // these delay all other users, so changes time out and are retried.
    beginAlone: [
      'begin',
      `select pg_advisory_xact_lock(${schemaLock})`,
      `select set_config('lock_timeout', '10s', true)`,
    ],
    async readVersion(db) {
      const { rows } = await sql<{
        found: boolean
      }>`select to_regclass(quote_ident(current_schema()) || '.about') is not null as found`.execute(db)
      if (rows[0]?.found !== true) return 0
      const row = await db.selectFrom('about').select('value').where('key', '=', 'schema').executeTakeFirst()
      return Number(row?.value ?? 0)
    },
    async writeVersion(db, version) {
      const value = String(version)
      await db
        .insertInto('about')
        .values({ key: 'schema', value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute()
    },
    lock: (name) => takeLead(leading, name, { owner: `${me} ${(leads += 1)}` }),
    seconds: sql`extract(epoch from clock_timestamp())::bigint`,
    locksRows: true,
    async tellOfBlobs(db, digests) {
      // A notification has less than 8,000 bytes, and a digest has 71.
      for (const batch of batchesOf(digests, 100)) {
        await sql`select pg_notify(${blobsChannel}, ${batch.join(' ')})`.execute(db)
      }
    },
    // PostgreSQL's own vacuum does that.
    shrink: () => false,
  }
}
