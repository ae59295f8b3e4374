import { sql, type Kysely } from 'kysely'
import type { BuildUpdate } from '../builds/builds.ts'
import { appendEvents } from './event-rows.ts'
import type { Outcome } from './jobs.ts'
import { inDatabase, interval } from './job-table.ts'
import { periods } from './times.ts'

// The number of rows removed by one statement, and of such statements for one kind of rows: a sweep of each worker every 30
// seconds then removes more than clients can cause, who get a row for each name that does not exist.
const most = 5_000
const mostBatches = 40
// The number of results, other than images, that are kept for times without a worker.
const mostAnswers = 10_000
// The number of events that are kept. Those of one build are limited, and the number of builds is not.
const mostEvents = 1_000_000

/**
 * Ends jobs for which no client waits and that no worker runs, and removes old rows. Any number of workers may do so at the same
 * time.
 * @throws STORE_UNAVAILABLE
 */
export const sweep = (db: Kysely<unknown>): Promise<void> =>
  inDatabase(async () => {
    const abandoned: Outcome = { abandoned: true }
    const last: BuildUpdate = {
      type: 'failed',
      failure: { code: 'CANCELLED', message: 'all clients have disconnected' },
      ms: 0,
    }
    await db.transaction().execute(async (transaction) => {
      const { rows } = await sql<{ id: string; kind: string }>`
        update jobs set state = 'ended', outcome = ${JSON.stringify(abandoned)}, ended_at = now(), keep_until = now()
        where id in (
          select id from jobs
          where (state = 'queued' or (state = 'running' and lease_until < now()))
            and greatest(waiting_until, expected_until, background_until) < now() - ${interval(periods.waiting)}
          limit ${most}::bigint for update skip locked
        )
        returning id, kind`.execute(transaction)
      await appendEvents(
        transaction,
        rows.filter(({ kind }) => kind === 'image').map(({ id }) => [id, last] as const),
      )
    })
    await inBatches(() =>
      sql`
      delete from jobs where id in (
        select id from jobs
        where state = 'ended' and keep_until < now() - ${interval(periods.linger)}
          and (kind = 'image' or not is_answer or ended_at < now() - ${interval(periods.keep)})
        limit ${most}::bigint for update skip locked
      )`.execute(db),
    )
    await inBatches(() =>
      sql`
      delete from jobs where id in (
        select id from jobs where state = 'ended' and kind <> 'image' and ended_at <= (
          select ended_at from jobs where state = 'ended' and kind <> 'image'
          order by ended_at desc offset ${mostAnswers}::bigint limit 1
        )
        limit ${most}::bigint for update skip locked
      )`.execute(db),
    )
    await inBatches(() =>
      sql`
      delete from build_events where seq in (
        select seq from build_events where at < now() - ${interval(periods.keep)}
        order by seq limit ${most}::bigint for update skip locked
      )`.execute(db),
    )
    // Numbers have gaps, so these are a few less.
    await inBatches(() =>
      sql`
      delete from build_events where seq in (
        select seq from build_events
        where seq <= (select max(seq) from build_events) - ${mostEvents}::bigint
        order by seq limit ${most}::bigint for update skip locked
      )`.execute(db),
    )
    // By then the narinfo is in the shared cache, or no worker has uploaded it.
    await inBatches(() =>
      sql`
      delete from shared_paths where store_path in (
        select store_path from shared_paths where decided_at < now() - ${interval(periods.keep)}
        order by decided_at limit ${most}::bigint for update skip locked
      )`.execute(db),
    )
    await sql`delete from workers where seen_until < now() - ${interval(periods.keep)}`.execute(db)
    // Of processes that were killed.
    await sql`delete from replicas where seen_at < now() - ${interval(periods.keep)}`.execute(db)
  })

/** Repeats a statement that removes at most `most` rows until it removes fewer. */
async function inBatches(remove: () => Promise<{ readonly numAffectedRows?: bigint }>): Promise<void> {
  for (let batch = 0; batch < mostBatches; batch += 1) {
    if (((await remove()).numAffectedRows ?? 0n) < BigInt(most)) return
  }
}
