import { sql, type Kysely } from 'kysely'
import { retrying } from '../postgres/retry.ts'

/**
 * Creates the tables and indexes of the fleet that do not exist. Any number of processes may do so at the same time. A later
 * version only adds columns that are nullable or have a default, so that two versions can run together.
 */
export const createTables = (db: Kysely<unknown>): Promise<void> =>
  retrying(async () => {
    // Also if it has nothing to do, a statement that creates an index waits until nobody writes to its table, and others that
    // write wait for it. Commands and pages call this often.
    if ((await missing(db)).length === 0) return
    await db.transaction().execute(async (transaction) => {
      // Released with the transaction, which works behind a pooler, too.
      await sql`select pg_advisory_xact_lock(hashtext('nixery fleet tables'))`.execute(transaction)
      for (const statement of await missing(transaction)) await sql.raw(statement).execute(transaction)
    })
  })

/** The statements for what does not exist. */
async function missing(db: Kysely<unknown>): Promise<string[]> {
  const names = Object.keys(parts)
  const { rows } = await sql<{ name: string }>`
    select name from unnest(${names}::text[]) as name,
      to_regclass(quote_ident(current_schema()) || '.' || split_part(name, '.', 1)) as found
    where found is null or (name like '%.%' and not exists (
      select from pg_attribute where attrelid = found and attname = split_part(name, '.', 2) and not attisdropped
    ))`.execute(db)
  const lacking = new Set(rows.map(({ name }) => name))
  return Object.entries(parts).flatMap(([name, statement]) => (lacking.has(name) ? [statement] : []))
}

/** How tables, indexes, and columns that were added later are created. */
const parts: Readonly<Record<string, string>> = {
  // `needs` has the system and system features that a worker must have, with blanks between; `systems` of workers has
  // both. `state` is queued, running or ended. A job is wanted as long as any of the three `…_until` is in the future:
  // a client is waiting, a client got a retry response, or the job is wanted without a client. `is_answer` is set if
  // the outcome is not a failure.
  jobs: `create table jobs (
    id text collate "C" primary key,
    key text collate "C" not null,
    kind text not null,
    needs text not null,
    job text not null,
    state text not null,
    asked_at timestamptz not null default now(),
    waiting_until timestamptz,
    expected_until timestamptz,
    background_until timestamptz,
    owner text,
    lease_until timestamptz,
    attempts bigint not null default 0,
    ended_at timestamptz,
    keep_until timestamptz,
    outcome text,
    is_answer boolean not null default false
  )`,
  // How many attempts have ended though their workers had not stopped.
  'jobs.survived': 'alter table jobs add column survived bigint not null default 0',
  jobs_open: `create unique index jobs_open on jobs (key) where state <> 'ended'`,
  jobs_key: `create index jobs_key on jobs (key, asked_at)`,
  jobs_queue: `create index jobs_queue on jobs (asked_at) where state <> 'ended'`,
  jobs_ended: `create index jobs_ended on jobs (keep_until) where state = 'ended'`,
  jobs_answers: `create index jobs_answers on jobs (ended_at) where state = 'ended' and kind <> 'image'`,
  build_events: `create table build_events (
    seq bigserial primary key,
    build text collate "C" not null,
    at timestamptz not null default now(),
    kind text not null,
    event text not null
  )`,
  build_events_build: 'create index build_events_build on build_events (build, seq)',
  build_events_at: 'create index build_events_at on build_events (at)',
  // The narinfo of a store path that was recorded first, for a day.
  shared_paths: `create table shared_paths (
    store_path text collate "C" primary key,
    narinfo text not null,
    decided_at timestamptz not null default now()
  )`,
  shared_paths_decided_at: 'create index shared_paths_decided_at on shared_paths (decided_at)',
  workers: `create table workers (
    id text collate "C" primary key,
    seen_until timestamptz not null,
    systems text[] not null,
    facts text not null
  )`,
  replicas: `create table replicas (
    id text collate "C" primary key,
    host text not null,
    role text not null,
    version text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    draining boolean not null default false,
    facts text not null
  )`,
}
