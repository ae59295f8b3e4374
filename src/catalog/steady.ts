import { NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'
import { batchesOf } from './batches.ts'
import type { Catalog, CatalogUpkeep } from './catalog.ts'
import type { SqlCatalog } from './sql.ts'

/** The database under a catalog. */
export type Database = {
  open(): Promise<SqlCatalog>
  /** Whether an error says that what is stored is not what was written. */
  isDamaged(error: unknown): boolean
  /** Whether an error may pass by itself, as a lock does. */
  isPassing(error: unknown): boolean
  /** Moves what is damaged away, for a new one to be begun in its place; says to where. */
  setAside(): Promise<string>
}

export type SteadyOptions = {
  readonly warn: (line: string) => void
  /** Milliseconds for which a database that failed is left alone. */
  readonly pause: number
}

// Of so many facts it is kept in mind that the database may still say what is not so any more.
const mostDoubts = 200_000
const atOnce = 500
// Milliseconds. A disk that goes on damaging a database is not given a new one every few seconds.
const pauseAfterDamage = 60_000
const warnInterval = 30_000

/**
 * A catalog over a database that may fail: locked by another process, out of space, read-only, or damaged. What
 * cannot be asked then is not known, what cannot be written is dropped, and each is warned of; the database is left
 * alone for a while, since one that is locked would hold up every answer for as long as it waits for the lock.
 * What could not be forgotten or replaced is not believed from then on, and is forgotten when the database is back.
 * @throws what opening the database does, if that is not damage and will not pass by itself
 */
export async function openSteadyCatalog(database: Database, options: SteadyOptions): Promise<Catalog> {
  const { pause } = options
  const warn = sparing(options.warn)
  const blobsInDoubt = new Set<Digest>()
  const pathsInDoubt = new Set<StorePath>()
  let current: SqlCatalog | undefined
  let making: Promise<SqlCatalog> | undefined
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
    warn(`the catalog was damaged (${reasonOf(error)}) and is begun anew; the old one is kept as ${to}`)
    blobsInDoubt.clear()
    pathsInDoubt.clear()
  }
  const failed = async (on: SqlCatalog | undefined, error: unknown) => {
    if (on !== current) return // it failed because it was closed
    if (!database.isDamaged(error)) {
      leaveAlone(pause)
      warn(`the catalog fails and is left out for a while: ${reasonOf(error)}`)
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
  const make = async () => {
    const opened = current ?? (await database.open())
    current = opened
    for (const batch of batchesOf([...blobsInDoubt], atOnce)) {
      await opened.upkeep.forgetBlobs(batch)
      for (const digest of batch) blobsInDoubt.delete(digest)
    }
    for (const batch of batchesOf([...pathsInDoubt], atOnce)) {
      await opened.forgetPathFacts(batch)
      for (const path of batch) pathsInDoubt.delete(path)
    }
    return opened
  }
  const ready = (): Promise<SqlCatalog> => {
    if (current && blobsInDoubt.size === 0 && pathsInDoubt.size === 0) return Promise.resolve(current)
    making ??= make().finally(() => {
      making = undefined
    })
    return making
  }
  const unavailable = (cause?: unknown) =>
    new NixeryError('STORE_UNAVAILABLE', 'the catalog cannot be used now', {
      cause,
      hint: 'try again in a minute; the operator finds the cause in the log',
    })
  const must = async <T>(work: (catalog: SqlCatalog) => Promise<T>, again = false): Promise<T> => {
    if (closed || performance.now() < resumeAt) throw unavailable()
    if (blobsInDoubt.size + pathsInDoubt.size > mostDoubts) {
      warn('the catalog has failed for too long and is left out until the next start')
      throw unavailable()
    }
    let on = current
    try {
      on = await ready()
      return await work(on)
    } catch (error) {
      await failed(on ?? current, error)
      // A new one takes what the damaged one could not.
      if (database.isDamaged(error) && !again) return must(work, true)
      throw unavailable(error)
    }
  }
  const ask = <T>(work: (catalog: SqlCatalog) => Promise<T>, unknown: T): Promise<T> =>
    must(work).catch(() => unknown) // warned of in `failed`
  const tell = async (work: (catalog: SqlCatalog) => Promise<void>): Promise<boolean> =>
    ask(async (catalog) => {
      await work(catalog)
      return true
    }, false)
  const replace = async <T>(
    doubts: Set<T>,
    items: readonly T[],
    work: (catalog: SqlCatalog) => Promise<void>,
  ): Promise<void> => {
    const done = await tell(work)
    for (const item of items) {
      if (done) doubts.delete(item)
      else doubts.add(item)
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

  const believed = <T extends { readonly digest: Digest }>(found: Map<string, T>): Map<string, T> =>
    new Map([...found].filter(([, { digest }]) => !blobsInDoubt.has(digest)))
  const upkeep: CatalogUpkeep = {
    lock: () => must((catalog) => catalog.upkeep.lock()),
    born: () => must((catalog) => catalog.upkeep.born()),
    images: (page) => must((catalog) => catalog.upkeep.images(page)),
    imagesSince: (since) => must((catalog) => catalog.upkeep.imagesSince(since)),
    names: (keys) => must((catalog) => catalog.upkeep.names(keys)),
    blobs: (page) => must((catalog) => catalog.upkeep.blobs(page)),
    forgetImages: (keys, since) => must((catalog) => catalog.upkeep.forgetImages(keys, since)),
    withdrawBlobs: (digests) => must((catalog) => catalog.upkeep.withdrawBlobs(digests)),
    forgetBlobs: (digests) => must((catalog) => catalog.upkeep.forgetBlobs(digests)),
    rows: {
      giveDay: (...args) => must(({ upkeep: { rows } }) => rows.giveDay(...args)),
      forgetResolutions: (...args) => must(({ upkeep: { rows } }) => rows.forgetResolutions(...args)),
      nextRevision: (after) => must(({ upkeep: { rows } }) => rows.nextRevision(after)),
      unusedPaths: (...args) => must(({ upkeep: { rows } }) => rows.unusedPaths(...args)),
      keepPaths: (...args) => must(({ upkeep: { rows } }) => rows.keepPaths(...args)),
      forgetPaths: (...args) => must(({ upkeep: { rows } }) => rows.forgetPaths(...args)),
      references: (paths) => must(({ upkeep: { rows } }) => rows.references(paths)),
      imageRoots: (page) => must(({ upkeep: { rows } }) => rows.imageRoots(page)),
      shrink: (pages) => must(({ upkeep: { rows } }) => rows.shrink(pages)),
    },
  }
  return {
    resolutions: (keys) => ask((catalog) => catalog.resolutions(keys), new Map()),
    async rememberResolutions(resolutions, revision) {
      await tell((catalog) => catalog.rememberResolutions(resolutions, revision))
    },
    async pathFacts(paths) {
      const found = await ask((catalog) => catalog.pathFacts(paths), new Map())
      return new Map([...found].filter(([path]) => !pathsInDoubt.has(path)))
    },
    rememberPathFacts: (facts) =>
      replace(
        pathsInDoubt,
        facts.map(({ storePath }) => storePath),
        (catalog) => catalog.rememberPathFacts(facts),
      ),
    async layer(key) {
      const found = await ask((catalog) => catalog.layer(key), undefined)
      return found && !blobsInDoubt.has(found.digest) ? found : undefined
    },
    layers: async (keys) => believed(await ask((catalog) => catalog.layers(keys), new Map())),
    members: async (keys) => believed(await ask((catalog) => catalog.members(keys), new Map())),
    async rememberLayer(key, layer, members) {
      await tell((catalog) => catalog.rememberLayer(key, layer, members))
    },
    image: (key) => ask((catalog) => catalog.image(key), undefined),
    async rememberImage(key, image, madeAt) {
      await tell((catalog) => catalog.rememberImage(key, image, madeAt))
    },
    async rememberRoots(key, roots) {
      await tell((catalog) => catalog.rememberRoots(key, roots))
    },
    async rememberRowUses(uses) {
      await tell((catalog) => catalog.rememberRowUses(uses))
    },
    async blobSize(digest) {
      const size = await ask((catalog) => catalog.blobSize(digest), undefined)
      return blobsInDoubt.has(digest) ? undefined : size
    },
    async rememberBlob(digest, size) {
      await tell((catalog) => catalog.rememberBlob(digest, size))
    },
    async blobMark(digest) {
      const mark = await ask((catalog) => catalog.blobMark(digest), undefined)
      return blobsInDoubt.has(digest) ? undefined : mark
    },
    async rememberBlobMark(digest, mark) {
      await tell((catalog) => catalog.rememberBlobMark(digest, mark))
    },
    forgetBlob: (digest) => replace(blobsInDoubt, [digest], (catalog) => catalog.forgetBlob(digest)),
    async rememberPulls(pulls) {
      await tell((catalog) => catalog.rememberPulls(pulls))
    },
    async rememberUses(uses) {
      await tell((catalog) => catalog.rememberUses(uses))
    },
    tags: (repository, page) => ask((catalog) => catalog.tags(repository, page), []),
    repositories: (page) => ask((catalog) => catalog.repositories(page), []),
    mostPulled: (limit) => ask((catalog) => catalog.mostPulled(limit), []),
    upkeep,
    async close() {
      closed = true
      await current?.close()
    },
  }
}

/** Passes a line on unless the same was passed on just now. */
function sparing(warn: (line: string) => void): (line: string) => void {
  const told = new Map<string, number>()
  return (line) => {
    const now = performance.now()
    for (const [old, at] of told) if (now - at > warnInterval) told.delete(old)
    if (told.has(line)) return
    told.set(line, now)
    warn(line)
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  return `${code}${error.message.replace(/\s+/g, ' ')}`
}
