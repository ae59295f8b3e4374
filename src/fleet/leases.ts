import { sql, type Kysely } from 'kysely'
import type { BuiltImage } from '../builds/build.ts'
import type { BuildUpdate } from '../builds/builds.ts'
import { appendEvents, forgetOldLines, type BuildNews } from './event-rows.ts'
import { parseJob, type Job, type JobKind, type Outcome } from './jobs.ts'
import { inDatabase, interval } from './job-table.ts'
import { periods } from './times.ts'

/** A job of this worker, for as long as it holds the lease. */
export type Lease = {
  readonly id: string
  readonly job: Job
  /** The number of times that a worker has started it, including this one. */
  readonly attempt: number
  /** How many workers have started it and then disappeared. */
  readonly stopped: number
  /** Whether no client waits for it. */
  readonly background: boolean
}

/** The state of a renewed lease. */
export type Renewed = { readonly wanted: boolean; readonly waiting: boolean }

/** How long equal jobs get an outcome, in milliseconds: by default, and if a client got a retry response. */
export type Keep = { readonly usual: number; readonly expected: number }

/** The worker's view of the job table. All methods throw STORE_UNAVAILABLE if the database does not respond. */
export type Leases = {
  /**
   * Takes the most urgent job of these kinds that is queued, or whose lease has expired.
   * @param abilities the systems and system features for which this worker can build
   */
  claim(kinds: readonly JobKind[], abilities: readonly string[]): Promise<Lease | undefined>
  /** Renews leases. Leases missing in the result are lost: another worker has the job, or it was removed. */
  renew(leases: readonly Lease[]): Promise<Map<string, Renewed>>
  /** This worker has lost a lease, but not stopped: it could not renew in time, or not reach the database. */
  survived(lease: Lease): Promise<void>
  /** Whether this worker still holds a lease. Renews it. */
  holds(lease: Lease): Promise<boolean>
  /**
   * Ends a job, unless the lease is lost.
   * @param last the last event of a build
   * @returns whether the lease was still held
   */
  end(lease: Lease, outcome: Outcome, keep: Keep, last?: BuildUpdate): Promise<boolean>
  /** Releases leases, so that other workers can take the jobs at once. */
  giveBack(leases: readonly Lease[]): Promise<void>
  /**
   * Leaves a job to workers that have these system features, too.
   * @returns false if there is no such worker; then this one still has the lease, if it is not lost
   */
  handOn(lease: Lease, features: readonly string[]): Promise<boolean>
  append(news: readonly BuildNews[]): Promise<void>
  /** Removes all but the last of Nix's lines of a build. */
  forgetLines(build: string, keep: number): Promise<void>
}

type Row = {
  id: string
  kind: string
  job: string
  attempts: number
  stopped: number
  background: boolean
}

const unreadable = {
  code: 'BUILD_FAILED',
  message: 'the request cannot be read by this worker',
  hint: 'the operator can upgrade all workers to the version of the front ends',
} as const

/**
 * @param dbs.renewals the connection for renewing leases
 * @param owner a unique id of this process
 * @param length milliseconds after which a lease that is not renewed can be taken over
 */
export function createLeases(
  { db, renewals }: { readonly db: Kysely<unknown>; readonly renewals: Kysely<unknown> },
  owner: string,
  length: number,
): Leases {
  const ofMine = (leases: readonly Lease[]) => {
    const ids = leases.map(({ id }) => id)
    const attempts = leases.map(({ attempt }) => attempt)
    return sql`owner = ${owner} and state = 'running' and (id, attempts) in (
      select * from unnest(${ids}::text[], ${attempts}::bigint[])
    )`
  }
  const renew = (leases: readonly Lease[]) =>
    inDatabase(async () => {
      const { rows } = await sql<{ id: string } & Renewed>`
        update jobs set lease_until = now() + ${interval(length)} where ${ofMine(leases)}
        returning id,
          coalesce(greatest(waiting_until, expected_until, background_until) > now(), false) as wanted,
          coalesce(waiting_until > now(), false) as waiting`.execute(renewals)
      return new Map(rows.map(({ id, wanted, waiting }) => [id, { wanted, waiting }]))
    })

  const take = async (kinds: readonly JobKind[], abilities: readonly string[]): Promise<Row | undefined> => {
    const { rows } = await sql<Row>`
      update jobs set state = 'running', owner = ${owner}, attempts = attempts + 1,
        lease_until = now() + ${interval(length)}
      where id = (
        select id from jobs
        where (state = 'queued' or (state = 'running' and lease_until < now()))
          and kind = any(${kinds}::text[]) and string_to_array(needs, ' ') <@ ${abilities}::text[]
          and greatest(waiting_until, expected_until, background_until) > now()
        order by coalesce(waiting_until > now(), false) desc, coalesce(expected_until > now(), false) desc,
          asked_at
        limit 1 for update skip locked
      )
      returning id, kind, job, attempts, attempts - 1 - survived as stopped,
        not coalesce(waiting_until > now(), false) as background`.execute(db)
    return rows[0]
  }
  /** Ends a job that is damaged, or of a later version. Otherwise workers would take it again and again. */
  const refuse = ({ id, kind }: Row) =>
    db.transaction().execute(async (transaction) => {
      const outcome: Outcome = { failure: unreadable }
      await sql`
        update jobs set state = 'ended', outcome = ${JSON.stringify(outcome)}, ended_at = now(), keep_until = now()
        where id = ${id} and owner = ${owner} and state = 'running'`.execute(transaction)
      const last = { type: 'failed', failure: unreadable, ms: 0 } as const
      if (kind === 'image') await appendEvents(transaction, [[id, last]])
      await sql`select pg_notify('nixery_ended', ${id})`.execute(transaction)
    })

  return {
    claim: (kinds, abilities) =>
      inDatabase(async () => {
        for (;;) {
          const row = await take(kinds, abilities)
          if (!row) return undefined
          const { id, attempts, stopped, background } = row
          const job = parseJob(row.job)
          if (job) return { id, job, attempt: attempts, stopped, background }
          await refuse(row)
        }
      }),

    renew,
    survived: ({ id }) =>
      inDatabase(async () => {
        await sql`update jobs set survived = survived + 1 where id = ${id} and state <> 'ended'`.execute(db)
      }),
    holds: async (lease) => (await renew([lease])).has(lease.id),

    end: (lease, outcome, { usual, expected }, last) =>
      inDatabase(() =>
        db.transaction().execute(async (transaction) => {
          const isAnswer = !('failure' in outcome) && !('abandoned' in outcome)
          const { rows } = await sql<{ key: string }>`
            update jobs set state = 'ended', outcome = ${written(outcome)}, is_answer = ${isAnswer},
              ended_at = now(), keep_until = now() + case when expected_until > now()
                then ${interval(expected)} else ${interval(usual)} end
            where ${ofMine([lease])} returning key`.execute(transaction)
          const [ended] = rows
          if (!ended) return false
          if (lease.job.kind !== 'image' && isAnswer) {
            // Only the last answer is kept, for times when no worker can give a new one.
            await sql`
              delete from jobs where key = ${ended.key} and state = 'ended' and id <> ${lease.id}
                and ended_at < now() - ${interval(periods.linger)}`.execute(transaction)
          }
          if (lease.job.kind === 'image' && 'built' in outcome) await record(transaction, outcome.built)
          if (last) await appendEvents(transaction, [[lease.id, last]])
          await sql`select pg_notify('nixery_ended', ${lease.id})`.execute(transaction)
          return true
        }),
      ),

    giveBack: (leases) =>
      inDatabase(async () => {
        await sql`
          update jobs set state = 'queued', owner = null, lease_until = now(), attempts = attempts - 1
          where ${ofMine(leases)}`.execute(db)
        await sql`select pg_notify('nixery_jobs', '')`.execute(db)
      }),

    handOn: (lease, features) =>
      inDatabase(async () => {
        const more = features.join(' ')
        const { rows } = await sql`
          update jobs set state = 'queued', owner = null, lease_until = now(), attempts = attempts - 1,
            needs = needs || ' ' || ${more}
          where ${ofMine([lease])} and exists (
            select from workers
            where seen_until > now() and string_to_array(jobs.needs || ' ' || ${more}, ' ') <@ systems
          )
          returning id`.execute(db)
        if (rows.length > 0) await sql`select pg_notify('nixery_jobs', '')`.execute(db)
        return rows.length > 0
      }),

    forgetLines: (build, keep) => inDatabase(() => forgetOldLines(db, build, keep)),

    append: (news) =>
      inDatabase(() => db.transaction().execute((transaction) => appendEvents(transaction, news))),
  }
}

/** The time of an answer is the database's: clocks of workers differ. */
const written = (outcome: Outcome) => {
  const text = JSON.stringify(outcome)
  if (!('world' in outcome)) return sql`${text}`
  return sql`jsonb_set(${text}::jsonb, '{at}', to_jsonb(extract(epoch from now())::bigint))::text`
}

/**
 * Records an image in the catalog if it is missing: the catalog ignores failed writes, for example during a restart of
 * the database, but blobs of an image without a row would be garbage.
 */
const record = (transaction: Kysely<unknown>, { key, image }: BuiltImage) =>
  sql`
    insert into images (key, image, made_at)
    values (${key}, ${JSON.stringify(image)}, extract(epoch from now())::bigint)
    on conflict (key) do nothing`.execute(transaction)
