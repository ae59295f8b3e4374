import { NixeryError } from '../errors.ts'
import { batchesOf } from './batches.ts'
import { countDoubts, type Doubts, type Run } from './policy.ts'
import type { SqlCatalog } from './sql.ts'

/** The database under a catalog. */
export type Database = {
  open(): Promise<SqlCatalog>
  /** Whether an error means that the stored data is damaged. */
  isDamaged(error: unknown): boolean
  /** Whether an error may be temporary, such as a lock. */
  isPassing(error: unknown): boolean
  /** Whether an error concerns one statement only, so that the database remains usable. */
  isOfStatement?(error: unknown): boolean
  /** Does work, and repeats it after failures that the next attempt can avoid. */
  readonly repeat?: <T>(work: () => Promise<T>) => Promise<T>
  /** Moves a damaged database away, to make room for a new one; returns the new path of the old one. */
  setAside(): Promise<string>
}

export type ConnectionOptions = {
  readonly warn: (line: string) => void
  /** Milliseconds without any access after the database failed. */
  readonly pause: number
}

/** A database that is opened when needed, not used for a while after a failure, and replaced when it is damaged. */
export type Connection = {
  /** Failures are logged. @throws STORE_UNAVAILABLE if the database fails, or has just failed */
  readonly run: Run<SqlCatalog>
  readonly doubts: Doubts
  close(): Promise<void>
}

const mostDoubts = 200_000
const atOnce = 500
// Milliseconds. On a disk that keeps damaging the database, do not create a new one every few seconds.
const pauseAfterDamage = 60_000
const warnInterval = 30_000

/** @throws the error of opening the database, unless it is damage or temporary */
export async function connect(database: Database, options: ConnectionOptions): Promise<Connection> {
  const { pause } = options
  const { repeat } = database
  const warn = sparing(options.warn)
  const doubts: Doubts = { blobs: new Set(), paths: new Set() }
  let current: SqlCatalog | undefined
  let opening: Promise<SqlCatalog> | undefined
  let mending: Promise<void> | undefined
  let resumeAt = 0
  let closed = false

  const leaveAlone = (ms: number) => {
    resumeAt = performance.now() + ms
  }
  const mend = async (broken: SqlCatalog | undefined, error: unknown) => {
    current = undefined
    await broken?.close().catch(() => {}) // it is damaged anyway
    const to = await database.setAside()
    warn(`the catalog was damaged (${reasonOf(error)}) and is recreated; the old one is kept as ${to}`)
    doubts.blobs.clear()
    doubts.paths.clear()
  }
  const failed = async (on: SqlCatalog | undefined, error: unknown) => {
    if (on !== current) return // it failed because it was closed
    if (database.isOfStatement?.(error)) {
      warn(`the catalog cannot store or find something: ${reasonOf(error)}`)
      return
    }
    if (!database.isDamaged(error)) {
      leaveAlone(pause)
      warn(`the catalog fails and is not used for a while: ${reasonOf(error)}`)
      if (database.isPassing(error)) return
      // After a disk error, or after its file was moved, a connection may be unusable.
      current = undefined
      await on?.close().catch(() => {})
      return
    }
    leaveAlone(pauseAfterDamage)
    mending ??= mend(on, error)
      .then(() => leaveAlone(0))
      .catch((cause: unknown) => warn(`the damaged catalog cannot be moved away: ${reasonOf(cause)}`))
      .finally(() => {
        mending = undefined
      })
    await mending
  }
  /** Opens the database if necessary, and makes up for removals that failed. */
  const open = async () => {
    const opened = current ?? (await database.open())
    current = opened
    for (const blobs of batchesOf([...doubts.blobs], atOnce)) {
      await opened.upkeep.forgetBlobs(blobs)
      for (const digest of blobs) doubts.blobs.delete(digest)
    }
    for (const paths of batchesOf([...doubts.paths], atOnce)) {
      await opened.forgetPathFacts(paths)
      for (const path of paths) doubts.paths.delete(path)
    }
    return opened
  }
  const ready = (): Promise<SqlCatalog> => {
    if (current && countDoubts(doubts) === 0) return Promise.resolve(current)
    opening ??= open().finally(() => {
      opening = undefined
    })
    return opening
  }
  const run = async <T>(work: (catalog: SqlCatalog) => Promise<T>, again = false): Promise<T> => {
    if (closed || performance.now() < resumeAt) throw unavailable()
    if (countDoubts(doubts) > mostDoubts) {
      warn('the catalog has failed for too long and is not used until the next start')
      throw unavailable()
    }
    let on = current
    try {
      const used = await ready()
      on = used
      return await (repeat ? repeat(() => work(used)) : work(used))
    } catch (error) {
      await failed(on ?? current, error)
      // A new database has nothing to remove.
      if (database.isDamaged(error) && !again) return run(work, true)
      throw unavailable(error)
    }
  }

  try {
    await ready()
  } catch (error) {
    if (database.isDamaged(error)) {
      await mend(undefined, error)
      await ready()
    } else if (database.isPassing(error)) await failed(undefined, error)
    else throw error
  }
  return {
    run,
    doubts,
    async close() {
      closed = true
      await current?.close()
    },
  }
}

const unavailable = (cause?: unknown) =>
  new NixeryError('STORE_UNAVAILABLE', 'the catalog is unavailable', {
    cause,
    hint: 'try again in a minute; the server log has the cause',
  })

/** Passes lines on, except repetitions of a recent line. */
function sparing(warn: (line: string) => void): (line: string) => void {
  const lastAt = new Map<string, number>()
  return (line) => {
    const now = performance.now()
    for (const [old, at] of lastAt) if (now - at > warnInterval) lastAt.delete(old)
    if (lastAt.has(line)) return
    lastAt.set(line, now)
    warn(line)
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const message = error.message.replace(/\s+/g, ' ')
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`
}
