import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Kysely, sql, type Dialect } from 'kysely'
import { batchesOf } from './batches.ts'
import { takeLead } from './leaders.ts'
import type { SqlDatabase } from './migrate.ts'
import type { Tables } from './schema.ts'

// The number is arbitrary: it stands for changes of this program's tables.
const schemaLock = 7_263_544_119

/** This process, among all that use the database. */
const me = `${hostname()} ${randomUUID()}`

/** A PostgreSQL database; the version of its schema is a row of `about`. */
/** On it, processes tell each other of blobs that are not to be taken for known, separated by blanks. */
export const blobsChannel = 'nixery_blobs'

let leads = 0

export function postgresOf(dialect: Dialect): SqlDatabase {
  const leading = new Kysely<Tables>({ dialect })
  return {
    dialect,
    // In the order of a language, a page of a list would not begin where the last one ended.
    text: sql`text collate "C"`,
    // Such a lock ends with its transaction, so it works through any pooler. Whoever uses a table holds up changes of
    // it, and these hold up all others: they give up after a while, and are tried again.
    beginAlone: [
      'begin',
      `select pg_advisory_xact_lock(${schemaLock})`,
      `select set_config('lock_timeout', '10s', true)`,
    ],
    async readVersion(db) {
      const { rows } = await sql<{
        found: boolean
      }>`select to_regclass('about') is not null as found`.execute(db)
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
      // A notification has less than 8,000 bytes, and a digest 71.
      for (const batch of batchesOf(digests, 100)) {
        await sql`select pg_notify(${blobsChannel}, ${batch.join(' ')})`.execute(db)
      }
    },
    // PostgreSQL's own vacuum does that.
    shrink: () => false,
  }
}
