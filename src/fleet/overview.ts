import { Kysely, sql } from 'kysely'
import type { Postgres } from '../postgres/pool.ts'
import { formatImageName } from '../image/name.ts'
import { differenceOf, parts, type Replica } from './agreement.ts'
import { inDatabase } from './job-table.ts'
import { parseJob } from './jobs.ts'
import { createReplicas, type Replicas } from './replicas.ts'
import { createTables } from './schema.ts'

/** A process, for operators. Times are in seconds. */
export type ProcessOverview = Pick<
  Replica,
  'id' | 'host' | 'role' | 'version' | 'age' | 'seen' | 'draining'
> & {
  /** How it differs from the others, because of which it takes no builds or may respond differently. */
  readonly differs: readonly string[]
}

/** A job that is queued or running. */
export type JobOverview = {
  readonly id: string
  readonly kind: string
  /** The image, if any. */
  readonly name: string | undefined
  readonly state: string
  /** Seconds since it was requested. */
  readonly age: number
  readonly attempts: number
  /** The host of the process that runs it; undefined while it is queued, or if that process is gone. */
  readonly host: string | undefined
  /** Seconds until that process must renew its lease. */
  readonly lease: number | undefined
}

export type LeadOverview = { readonly name: string; readonly host: string; readonly seconds: number }

/** The state of a fleet. */
export type Overview = {
  readonly processes: readonly ProcessOverview[]
  readonly queued: number
  readonly running: number
  /** The oldest first, at most `mostJobs`. */
  readonly jobs: readonly JobOverview[]
  /** The leaders of tasks that only one process at a time performs. */
  readonly leads: readonly LeadOverview[]
  /** The size of the database. */
  readonly bytes: number
}

const mostJobs = 100
// Milliseconds. Processes report every five seconds that they are running.
const longestUnseen = 20_000

/** The registry of processes, for a command. @throws STORE_UNAVAILABLE */
export async function openRegister({ dialect }: Postgres): Promise<Replicas> {
  const db = new Kysely<unknown>({ dialect })
  await inDatabase(() => createTables(db))
  return createReplicas(db, longestUnseen)
}

/** @throws STORE_UNAVAILABLE */
export async function readOverview(postgres: Postgres): Promise<Overview> {
  const replicas = await (await openRegister(postgres)).list()
  const db = new Kysely<unknown>({ dialect: postgres.dialect })
  return inDatabase(async () => {
    const { rows: counts } = await sql<{ state: string; n: number }>`
      select state, count(*) as n from jobs where kind = 'image' and state <> 'ended' group by state`.execute(
      db,
    )
    const countOf = (state: string) => counts.find((each) => each.state === state)?.n ?? 0
    return {
      processes: replicas.map((replica) => processOf(replica, replicas)),
      queued: countOf('queued'),
      running: countOf('running'),
      jobs: await jobsIn(db, replicas),
      leads: await leadsIn(db),
      bytes: await bytesOf(db),
    }
  })
}

const processOf = (replica: Replica, all: readonly Replica[]): ProcessOverview => {
  const { facts: _, ...shown } = replica
  const differs = parts.flatMap((part) => differenceOf(replica, all, part)?.names ?? [])
  return { ...shown, differs: [...new Set(differs)] }
}

async function jobsIn(db: Kysely<unknown>, replicas: readonly Replica[]): Promise<JobOverview[]> {
  const hosts = new Map(replicas.map(({ id, host }) => [id, host]))
  const { rows } = await sql<{
    id: string
    kind: string
    job: string
    state: string
    age: number
    attempts: number
    owner: string | null
    lease: number | null
  }>`
    select id, kind, job, state, attempts, owner,
      extract(epoch from now() - asked_at)::float8 as age,
      extract(epoch from lease_until - now())::float8 as lease
    from jobs where state <> 'ended' order by asked_at limit ${mostJobs}`.execute(db)
  return rows.map(({ job, owner, lease, ...row }) => {
    const isRunning = row.state === 'running'
    return {
      ...row,
      name: nameIn(job),
      host: isRunning && owner !== null ? hosts.get(owner) : undefined,
      lease: isRunning ? (lease ?? undefined) : undefined,
    }
  })
}

function nameIn(text: string): string | undefined {
  try {
    const job = parseJob(text)
    return job && 'request' in job ? `${formatImageName(job.request)}:${job.request.tag}` : undefined
  } catch {
    return undefined // a request of another version
  }
}

async function leadsIn(db: Kysely<unknown>): Promise<LeadOverview[]> {
  // A table of the catalog, which may not exist before the first server has started.
  const { rows: found } = await sql<{ is: boolean }>`select to_regclass('leaders') is not null as is`.execute(
    db,
  )
  if (found[0]?.is !== true) return []
  const { rows } = await sql<{ name: string; owner: string; seconds: number }>`
    select name, owner, held_until / 1000.0::float8 - extract(epoch from now())::float8 as seconds
    from leaders where held_until / 1000.0 > extract(epoch from now()) order by name`.execute(db)
  return rows.map(({ name, owner, seconds }) => ({ name, host: owner.split(' ')[0] ?? '', seconds }))
}

async function bytesOf(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    select pg_database_size(current_database())::float8 as bytes`.execute(db)
  return rows[0]?.bytes ?? 0
}
