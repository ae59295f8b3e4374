import { Kysely, sql } from 'kysely'
import type { Postgres } from '../postgres/pool.ts'
import type { Decisions } from '../sharing/first.ts'
import { inDatabase } from './job-table.ts'
import { persist } from './persist.ts'
import { createTables } from './schema.ts'

/**
 * Decisions in the table `shared_paths`. A build that has taken minutes waits while the database does not respond.
 * @throws STORE_UNAVAILABLE
 */
export async function openDecisions({ dialect }: Pick<Postgres, 'dialect'>): Promise<Decisions> {
  const db = new Kysely<unknown>({ dialect })
  // A command may come before the first server. While the database does not respond, builds wait.
  await createTables(db).catch(() => {})
  type Row = { narinfo: string }
  const one = (work: () => Promise<{ rows: Row[] }>, signal: AbortSignal): Promise<string> =>
    persist(async () => {
      const { rows } = await inDatabase(work)
      const [row] = rows
      if (!row) throw new Error('a decision is gone')
      return row.narinfo
    }, signal)
  return {
    // An update that changes nothing, since `do nothing` returns no row.
    first: (path, text, signal) =>
      one(
        () =>
          sql<Row>`
            insert into shared_paths (store_path, narinfo) values (${path}, ${text})
            on conflict (store_path) do update set store_path = excluded.store_path
            returning narinfo`.execute(db),
        signal,
      ),
    replace: (path, gone, text, signal) =>
      one(
        () =>
          sql<Row>`
            insert into shared_paths (store_path, narinfo) values (${path}, ${text})
            on conflict (store_path) do update
              set narinfo = case when shared_paths.narinfo = ${gone} then excluded.narinfo else shared_paths.narinfo end,
                decided_at = now()
            returning narinfo`.execute(db),
        signal,
      ),
  }
}
