import { sql, type Kysely } from 'kysely'
import type { BuildUpdate } from '../builds/builds.ts'

/** An event and its build. */
export type BuildNews = readonly [build: string, event: BuildUpdate]
/** An event of the log of all builds. Later ones have higher numbers. */
export type LoggedEvent = {
  readonly seq: number
  readonly build: string
  /** Undefined if it cannot be read. */
  readonly event: BuildUpdate | undefined
}

// The maximum length of a line in UTF-16 units.
const longestLine = 10_000

/** Serializes transactions that append events, so that a reader of a number has seen all lower ones. */
const inTurn = sql`select pg_advisory_xact_lock(hashtext('nixery build events'))`

/** Appends events to the log of builds, in a short transaction of the caller, and notifies readers. */
export async function appendEvents(transaction: Kysely<unknown>, news: readonly BuildNews[]): Promise<void> {
  if (news.length === 0) return
  await inTurn.execute(transaction)
  const builds = news.map(([build]) => build)
  const kinds = news.map(([, { type }]) => type)
  const events = news.map(([, event]) => JSON.stringify(bounded(event)))
  await sql`
    insert into build_events (build, kind, event)
    select * from unnest(${builds}::text[], ${kinds}::text[], ${events}::text[])`.execute(transaction)
  await sql`select pg_notify('nixery_events', '')`.execute(transaction)
}

const bounded = (event: BuildUpdate): BuildUpdate =>
  event.type === 'nix' ? { ...event, line: event.line.slice(0, longestLine) } : event

/** Reads up to `limit` events after a number, of one build or of all. */
export async function readEvents(
  db: Kysely<unknown>,
  { after, limit, build }: { readonly after: number; readonly limit: number; readonly build?: string },
): Promise<LoggedEvent[]> {
  const { rows } = await sql<{ seq: number; build: string; event: string }>`
    select seq, build, event from build_events
    where seq > ${after}::bigint ${build === undefined ? sql`` : sql`and build = ${build}`}
    order by seq limit ${limit}::bigint`.execute(db)
  return rows.map((row) => ({ ...row, event: eventIn(row.event) }))
}

/** Events of other versions may have other types and fields, which readers ignore. */
function eventIn(text: string): BuildUpdate | undefined {
  try {
    const event = JSON.parse(text) as Partial<BuildUpdate> | null
    return typeof event?.type === 'string' ? (event as BuildUpdate) : undefined
  } catch {
    return undefined
  }
}

/** The number of the last event but `count`; 0 if there are no more than that. */
export async function numberBefore(db: Kysely<unknown>, count: number): Promise<number> {
  const { rows } = await sql<{ seq: number }>`
    select seq from build_events order by seq desc offset ${count}::bigint limit 1`.execute(db)
  return rows[0]?.seq ?? 0
}

/** Removes all but the last `keep` lines of Nix of a build. */
export async function forgetOldLines(db: Kysely<unknown>, build: string, keep: number): Promise<void> {
  await sql`
    delete from build_events where build = ${build} and kind = 'nix' and seq <= (
      select seq from build_events where build = ${build} and kind = 'nix'
      order by seq desc offset ${keep}::bigint limit 1
    )`.execute(db)
}
