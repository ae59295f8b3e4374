import { sql, type Kysely } from 'kysely'
import { retrying } from '../postgres/retry.ts'

/**
 * Creates the tables of the fleet if they do not exist. Any number of processes may do so at the same time. A later
 * version only adds columns that are nullable or have a default, so that two versions can run together.
 */
export const createTables = (db: Kysely<unknown>): Promise<void> =>
  retrying(() =>
    db.transaction().execute(async (transaction) => {
      // Released with the transaction, which works behind a pooler, too.
      await sql`select pg_advisory_xact_lock(hashtext('nixery fleet tables'))`.execute(transaction)
      for (const statement of statements) await sql.raw(statement).execute(transaction)
    }),
  )

const statements = [
  // `needs` has the system and system features that a worker must have, with blanks between; `systems` of workers has
  // both. `state` is queued, running or ended. A job is wanted as long as any of the three `…_until` is in the future:
  // a client is waiting, a client got a retry response, or the job is wanted without a client. `is_answer` is set if
  // the outcome is not a failure.
  `create table if not exists jobs (
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
  // How many attempts have ended though their workers had not stopped. The table is only locked if the column is missing.
  `do $$ begin
    if not exists (
      select from pg_attribute where attrelid = 'jobs'::regclass and attname = 'survived' and not attisdropped
    ) then
      alter table jobs add column survived bigint not null default 0;
    end if;
  end $$`,
  `create unique index if not exists jobs_open on jobs (key) where state <> 'ended'`,
  `create index if not exists jobs_key on jobs (key, asked_at)`,
  `create index if not exists jobs_queue on jobs (asked_at) where state <> 'ended'`,
  `create index if not exists jobs_ended on jobs (keep_until) where state = 'ended'`,
  `create table if not exists build_events (
    seq bigserial primary key,
    build text collate "C" not null,
    at timestamptz not null default now(),
    kind text not null,
    event text not null
  )`,
  'create index if not exists build_events_build on build_events (build, seq)',
  'create index if not exists build_events_at on build_events (at)',
  // The narinfo of a store path that was recorded first, for a day.
  `create table if not exists shared_paths (
    store_path text collate "C" primary key,
    narinfo text not null,
    decided_at timestamptz not null default now()
  )`,
  'create index if not exists shared_paths_decided_at on shared_paths (decided_at)',
  `create table if not exists workers (
    id text collate "C" primary key,
    seen_until timestamptz not null,
    systems text[] not null,
    facts text not null
  )`,
  `create table if not exists replicas (
    id text collate "C" primary key,
    host text not null,
    role text not null,
    version text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    draining boolean not null default false,
    facts text not null
  )`,
]
