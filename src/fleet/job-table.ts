import { randomUUID } from 'node:crypto'
import { sql, type Kysely, type RawBuilder } from 'kysely'
import { LRUCache } from 'lru-cache'
import { startOf, type BuildEvent } from '../builds/events.ts'
import type { QueuedBy } from '../builds/queue.ts'
import { NixeryError } from '../errors.ts'
import { retrying } from '../postgres/retry.ts'
import { appendEvents } from './event-rows.ts'
import { keyOfJob, needsOf, parseJob, parseOutcome, type Job, type Outcome } from './jobs.ts'
import { periods } from './times.ts'

/** A job as seen by its waiters. */
export type JobState = {
  readonly id: string
  /** Undefined while it has not ended. */
  readonly outcome: Outcome | undefined
  /** The span that caused it, if it was joined. */
  readonly traceparent?: string | undefined
}

/** A job that is polled while someone waits for it. */
export type WaitedJob = JobState & {
  /** Whether it has waited for at least this many milliseconds without a worker that could take it. */
  readonly unservedFor: number
}

/** Why a job is wanted: for a waiting client, or ahead of demand. */
export type Want = 'waiting' | 'background'

/** Numbers of builds. */
export type JobCounts = {
  readonly running: number
  readonly queued: number
  readonly queuedBy: QueuedBy
}

export const noneQueued: QueuedBy = { waiting: 0, expected: 0, background: 0 }

export type SubmitOptions = {
  readonly requestId: string
  readonly window?: number | undefined
  readonly mayAdd?: (() => Promise<void>) | undefined
}

export type JobTable = {
  /**
   * Joins an open job, or finds the stored answer to an equal one, or adds the job.
   * @param options.requestId the request to record as joined
   * @param options.mayAdd called before a job is added
   * @throws what `mayAdd` throws; OVERLOADED when too many builds are queued, unless it is wanted in the background; STORE_UNAVAILABLE
   */
  submit(job: Job, want: Want, options: SubmitOptions): Promise<JobState>
  /** Reads jobs, and renews the demand for those with a given want. Jobs that do not exist are missing. */
  look(wanted: ReadonlyMap<string, ReadonlySet<Want>>, renew: boolean): Promise<Map<string, WaitedJob>>
  /** Records that a client that waited for a job is expected back within this many milliseconds. */
  expect(id: string, ms: number): Promise<void>
  /** An equal job that has an answer that is kept. */
  kept(job: Job, window: number | undefined): Promise<JobState | undefined>
  /** Invalidates an answer: the next request runs the job again. */
  discard(id: string): Promise<void>
  /** The last successful answer to a job, however old. */
  lastAnswer(job: Job): Promise<Outcome | undefined>
  /** The numbers of builds that are running and that are queued. */
  counts(): Promise<JobCounts>
}

// The maximum number of joined requests recorded for one build of a process.
const mostJoins = 200

type Row = { id: string; outcome: string | null }
type Found = JobState & { readonly job: string | undefined }

/** An SQL interval in milliseconds. */
export const interval = (ms: number): RawBuilder<unknown> => sql`${ms}::float8 * interval '1 millisecond'`

/** The time since which a job waits for a worker. After a restart of the database, workers need a moment to return. */
const unservedSince = sql`greatest(coalesce(lease_until, asked_at), pg_postmaster_start_time())`

/** Runs a statement or a transaction. @throws STORE_UNAVAILABLE */
export async function inDatabase<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await retrying(work)
  } catch (cause) {
    if (cause instanceof NixeryError) throw cause
    throw new NixeryError('STORE_UNAVAILABLE', 'the database does not respond', {
      cause,
      hint: 'try again in a few seconds',
    })
  }
}

/** @param maxQueue the maximum number of queued builds */
export function createJobTable(db: Kysely<unknown>, maxQueue: number): JobTable {
  const stateOf = ({ id, outcome }: Row): JobState => ({
    id,
    outcome: outcome === null ? undefined : (parseOutcome(outcome) ?? { abandoned: true }),
  })
  const joins = new LRUCache<string, number>({ max: 10_000 })
  const find = async (on: Kysely<unknown>, key: string): Promise<Found | undefined> => {
    const { rows } = await sql<Row & { job: string | null }>`
      select id, outcome, case when state <> 'ended' then job end as job from jobs
      where key = ${key} and (state <> 'ended' or keep_until > now())
      order by asked_at desc limit 1`.execute(on)
    const [row] = rows
    if (!row) return undefined
    if (row.outcome === null || parseOutcome(row.outcome))
      return { ...stateOf(row), job: row.job ?? undefined }
    await discard(on, row.id) // it is damaged, or of a later version
    return undefined
  }
  const discard = async (on: Kysely<unknown>, id: string) => {
    await sql`update jobs set keep_until = now() where id = ${id} and state = 'ended'`.execute(on)
  }
  const want = async (on: Kysely<unknown>, id: string, how: Want) => {
    const until = sql.ref(`${how}_until`)
    await sql`
      update jobs set ${until} = greatest(${until}, now() + ${interval(periods.waiting)})
      where id = ${id} and state <> 'ended'`.execute(on)
  }
  /** Adds a job. @returns undefined if an equal one is open, or if too many builds are queued */
  const add = (job: Job, key: string, how: Want, requestId: string): Promise<string | undefined> =>
    db.transaction().execute(async (transaction) => {
      const id = randomUUID()
      const isBounded = job.kind === 'image' && how === 'waiting'
      const queued = sql`select count(*) from jobs where state = 'queued' and kind = 'image'`
      const { rows } = await sql`
        insert into jobs (id, key, kind, needs, job, state, ${sql.ref(`${how}_until`)})
        select ${id}, ${key}, ${job.kind}, ${needsOf(job)}, ${JSON.stringify(job)}, 'queued',
          now() + ${interval(periods.waiting)}
        where ${!isBounded}::boolean or (${queued}) < ${maxQueue}::bigint
        on conflict (key) where state <> 'ended' do nothing returning id`.execute(transaction)
      if (rows.length === 0) return undefined
      if (job.kind === 'image') {
        await appendEvents(transaction, [
          [id, startOf(job.request)],
          [id, { type: 'joined', request: requestId }],
        ])
      }
      await sql`select pg_notify('nixery_jobs', '')`.execute(transaction)
      return id
    })

  const join = async (job: Job, key: string, how: Want, requestId: string): Promise<JobState | undefined> => {
    const found = await find(db, key)
    if (!found || found.outcome) return found
    const { id, outcome, job: text = '' } = found
    const open = job.kind === 'image' ? parseJob(text) : undefined
    const joined: BuildEvent = { type: 'joined', request: requestId }
    const count = joins.get(found.id) ?? 0
    joins.set(found.id, count + 1)
    await db.transaction().execute(async (transaction) => {
      await want(transaction, found.id, how)
      if (job.kind === 'image' && count < mostJoins) await appendEvents(transaction, [[found.id, joined]])
    })
    return { id, outcome, ...(open?.kind === 'image' && { traceparent: open.traceparent }) }
  }

  return {
    submit(job, how, { requestId, window, mayAdd }) {
      const key = keyOfJob(job, window)
      let admission: Promise<void> | undefined
      return inDatabase(async () => {
        // The open job may end between the two statements; repeatedly only with malicious intent.
        for (let attempt = 0; attempt < 5; attempt += 1) {
          const found = await join(job, key, how, requestId)
          if (found) return found
          await (admission ??= mayAdd?.())
          const id = await add(job, key, how, requestId)
          if (id !== undefined) return { id, outcome: undefined }
        }
        const message = `the registry is busy: ${maxQueue} images are waiting to be built`
        throw new NixeryError('OVERLOADED', message, { hint: 'try again in a few seconds' })
      })
    },

    look: (wanted, renew) =>
      inDatabase(async () => {
        const ids = [...wanted.keys()]
        const wantedBy = (how: Want) => ids.filter((id) => wanted.get(id)?.has(how))
        if (renew) {
          // In the order of their ids, to avoid deadlocks between processes.
          const until = interval(periods.waiting)
          await sql`
            with mine as (
              select id from jobs where id = any(${ids}::text[]) and state <> 'ended' order by id for update
            )
            update jobs set
              waiting_until = case when id = any(${wantedBy('waiting')}::text[])
                then greatest(waiting_until, now() + ${until}) else waiting_until end,
              background_until = case when id = any(${wantedBy('background')}::text[])
                then greatest(background_until, now() + ${until}) else background_until end
            where id in (select id from mine)`.execute(db)
        }
        const { rows } = await sql<Row & { unserved: number }>`
          select id, outcome,
            case when state = 'ended' or lease_until >= now() or exists (
              select from workers where seen_until > now() and string_to_array(needs, ' ') <@ systems
            ) then 0 else 1000 * extract(epoch from now() - ${unservedSince})::float8 end as unserved
          from jobs where id = any(${ids}::text[])`.execute(db)
        return new Map(rows.map((row) => [row.id, { ...stateOf(row), unservedFor: row.unserved }]))
      }),

    expect: (id, ms) =>
      inDatabase(async () => {
        await sql`
          update jobs set expected_until = greatest(expected_until, now() + ${interval(ms)})
          where id = ${id} and state <> 'ended'`.execute(db)
      }),

    kept: (job, window) =>
      inDatabase(async () => {
        const found = await find(db, keyOfJob(job, window))
        return found?.outcome && found
      }),

    discard: (id) => inDatabase(() => discard(db, id)),

    lastAnswer: (job) =>
      inDatabase(async () => {
        const { rows } = await sql<{ outcome: string }>`
          select outcome from jobs
          where key = ${keyOfJob(job)} and state = 'ended' and is_answer
          order by asked_at desc limit 1`.execute(db)
        return rows[0] && parseOutcome(rows[0].outcome)
      }),

    counts: () =>
      inDatabase(async () => {
        // As claiming orders them: see leases.ts.
        const { rows } = await sql<{ running: number; queued: number } & QueuedBy>`
          select count(*) filter (where state = 'running') as running,
            count(*) filter (where state = 'queued') as queued,
            count(*) filter (where state = 'queued' and isWaiting) as waiting,
            count(*) filter (where state = 'queued' and not isWaiting and isExpected) as expected,
            count(*) filter (where state = 'queued' and not isWaiting and not isExpected) as background
          from (
            select state, coalesce(waiting_until > now(), false) as isWaiting,
              coalesce(expected_until > now(), false) as isExpected
            from jobs where state <> 'ended' and kind = 'image'
          ) as open`.execute(db)
        const [row = { running: 0, queued: 0, ...noneQueued }] = rows
        const { running, queued, ...queuedBy } = row
        return { running, queued, queuedBy }
      }),
  }
}
