import { LRUCache } from 'lru-cache'
import { hasCode } from '../errors.ts'
import { createPausing } from './pause.ts'
import { refsByName, type Ref, type Refs } from './refs.ts'

export type RefListOptions = {
  /** Fetches HEAD and the allowed refs from the repository. */
  readonly load: () => Promise<Refs>
  /** Earlier refs to use if the repository is unreachable at the first `load`. */
  readonly last?: () => Promise<Refs | undefined>
  /** Milliseconds for which the refs are valid. */
  readonly ttl: number
  /** Called when the repository is unreachable and old refs stay in use. */
  readonly note: (line: string) => void
  /** For tests: a clock in milliseconds. */
  readonly now?: () => number
}

/** The refs of a repository at one point in time, and what is known about commits. */
export type Snapshot = {
  /** HEAD, and the refs that are allowed. */
  readonly refs: Refs
  readonly named: ReadonlyMap<string, Ref>
  /** For each commit, a ref from which it is reached, or undefined. */
  readonly proofs: LRUCache<string, { readonly ref: string | undefined }>
}

/** The refs of a repository, refreshed from time to time. */
export type RefList = {
  /** @throws SOURCE_UNREACHABLE if the repository was never reached */
  current(): Promise<Snapshot>
  /**
   * The result of `find` for the current refs. If it finds nothing, the refs are refreshed, but at most once a minute
   * regardless of what is looked up.
   */
  lookUp<T>(find: (snapshot: Snapshot) => Promise<T | undefined> | T | undefined): Promise<T | undefined>
  /** Schedules a refresh: the local copy turned out to be damaged. */
  distrust(): void
}

/** Milliseconds between two refreshes for unknown names. */
const missedInterval = 60_000
/** Milliseconds before an unreachable repository is tried again. */
const retryInterval = 30_000
const mostProofs = 10_000

/** Keeps the refs of a repository. Concurrent callers share one request. */
export function createRefList({
  load,
  last,
  ttl,
  note,
  now = () => performance.now(),
}: RefListOptions): RefList {
  let known: { snapshot: Snapshot; loaded: number; due: number } | undefined
  let loading: Promise<Snapshot> | undefined
  const pausing = createPausing(now)

  const keep = (refs: Refs, time: number): Snapshot => {
    // If no ref has moved, what is known about commits is still valid.
    const same = known && sameRefs(known.snapshot.refs, refs) ? known.snapshot : undefined
    const snapshot = same ?? {
      refs,
      named: refsByName(refs),
      proofs: new LRUCache({ max: mostProofs }),
    }
    known = { snapshot, loaded: now(), due: now() + time }
    return snapshot
  }

  const renew = async (): Promise<Snapshot> => {
    try {
      return keep(await pausing('', load), ttl)
    } catch (error) {
      const refs = known?.snapshot.refs ?? (hasCode(error, 'SOURCE_UNREACHABLE') ? await last?.() : undefined)
      if (!refs || !hasCode(error, 'SOURCE_UNREACHABLE')) throw error
      note(`${error.message}\nThe last good revision stays in use.`)
      return keep(refs, Math.min(ttl, retryInterval))
    } finally {
      loading = undefined
    }
  }

  /** A snapshot for which `fresh` holds, or a new one. */
  const snapshotIf = (fresh: (state: NonNullable<typeof known>) => boolean): Promise<Snapshot> => {
    if (known && fresh(known)) return Promise.resolve(known.snapshot)
    loading ??= renew()
    return loading
  }
  const current = () => snapshotIf(({ due }) => due > now())

  return {
    current,
    async lookUp(find) {
      const before = await current()
      const found = await find(before)
      if (found !== undefined) return found
      const after = await snapshotIf(({ loaded }) => loaded + Math.min(ttl, missedInterval) > now())
      return after === before ? undefined : find(after)
    },
    distrust() {
      if (known) known.due = Math.min(known.due, known.loaded + missedInterval)
    },
  }
}

const sameRefs = (one: Refs, other: Refs): boolean =>
  one.size === other.size && [...one].every(([ref, commit]) => other.get(ref) === commit)
