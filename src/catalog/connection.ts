import { NixeryError } from '../errors.ts'
import { batchesOf } from './batches.ts'
import { countDoubts, noDoubts, removeDoubts, type Doubts } from './doubts.ts'
import type { SqlCatalog } from './sql.ts'

/** The database under a catalog. */
export type Database = {
  open(): Promise<SqlCatalog>
  /** Whether an error says that what is stored is not what was written. */
  isDamaged(error: unknown): boolean
  /** Whether an error may pass by itself, as a lock does. */
  isPassing(error: unknown): boolean
  /** Whether an error is about what was asked, and the database may be used for all else. */
  isOfStatement?(error: unknown): boolean
  /** Does work, and repeats it if it fails in a way that is gone with the next attempt. */
  readonly repeat?: <T>(work: () => Promise<T>) => Promise<T>
  /** Moves a damaged database away so that a new one can take its place; returns the new path of the old one. */
  setAside(): Promise<string>
}

export type ConnectionOptions = {
  readonly warn: (line: string) => void
  /** Milliseconds for which a database that failed is left alone. */
  readonly pause: number
}

/** A database that is opened when it is needed, left alone for a while when it fails, and replaced when it is damaged. */
export type Connection = {
  /** Failures are logged. @throws STORE_UNAVAILABLE when the database fails or is being left alone */
  run<T>(work: (catalog: SqlCatalog) => Promise<T>): Promise<T>
  readonly doubts: Doubts
  close(): Promise<void>
}

const mostDoubts = 200_000
const atOnce = 500
// Milliseconds. A disk that goes on damaging a database is not given a new one every few seconds.
const pauseAfterDamage = 60_000
const warnInterval = 30_000

/** @throws what opening the database does, if that is not damage and will not pass by itself */
export async function connect(database: Database, options: ConnectionOptions): Promise<Connection> {
  const { pause } = options
  const repeat = database.repeat ?? ((work) => work())
  const warn = sparing(options.warn)
  const doubts = noDoubts()
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
    await broken?.close().catch(() => {}) // it is damaged, and known to be
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
      // After an error of the disk, or when its file was moved, a connection may be of no more use.
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
  /** Opens the database if need be, and makes up for what could not be forgotten in it. */
  const open = async () => {
    const opened = current ?? (await database.open())
    current = opened
    for (const blobs of batchesOf([...doubts.blobs], atOnce)) {
      await opened.upkeep.forgetBlobs(blobs)
      removeDoubts(doubts, { blobs })
    }
    for (const paths of batchesOf([...doubts.paths], atOnce)) {
      await opened.forgetPathFacts(paths)
      removeDoubts(doubts, { paths })
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
      return await repeat(() => work(used))
    } catch (error) {
      await failed(on ?? current, error)
      // A new one takes what the damaged one could not.
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
    run: (work) => run(work),
    doubts,
    async close() {
      closed = true
      await current?.close()
    },
  }
}

const unavailable = (cause?: unknown) =>
  new NixeryError('STORE_UNAVAILABLE', 'the catalog cannot be used now', {
    cause,
    hint: 'try again in a minute; the operator finds the cause in the log',
  })

/** Passes a line on unless the same was passed on just now. */
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
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  return `${code}${error.message.replace(/\s+/g, ' ')}`
}
