import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { hash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setImmediate as breathe } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import { keyOf, type Json } from '../image/canonical.ts'
import type { NameFilter } from '../packages/policy.ts'
import type { PackageSource } from '../packages/source.ts'
import { longestQuery, mostResults, type PackageEntry } from './entry.ts'
import { fillIndex, type FillOptions, type Progress } from './fill.ts'
import type { Question, Search } from './query.ts'
import { openIndex, type IndexFile, type Match } from './index-file.ts'

/** Increment this when the same packages result in another index. */
const indexVersion = 1

/** A package set to search. */
export type SearchedSet = Pick<FillOptions, 'list' | 'system'> & {
  /** Undefined for a single set. */
  readonly name: string | undefined
  readonly source: Pick<PackageSource, 'pin' | 'current'>
  readonly filter: NameFilter
  /** What the packages depend on besides the revision. */
  readonly policy: Json
}

export type SearchDeps = {
  /** The folder of the indexes. */
  readonly folder: string
  readonly sets: readonly SearchedSet[]
  /** `on`: indexes are built at startup; `demand`: when a set is first searched. */
  readonly mode: 'on' | 'demand'
  /** Bytes of memory for each evaluation. */
  readonly memory: number
  readonly warn: (line: string) => void
  readonly note: (line: string) => void
  /** Whether indexes are built automatically, and follow the package set. */
  readonly background: boolean
}

// The number of additional results to check if some may not be shown.
const mostHidden = 2_000
// Milliseconds for which results are checked before other work of the process gets a turn.
const slice = 4
// Milliseconds between checks of the revision, and before a failed build of an index is retried.
const interval = 300_000
const retryAfter = 900_000

type State = SearchedSet & {
  /** The prefix of its file names. */
  readonly prefix: string
  index: IndexFile | undefined
  isWanted: boolean
  running: Promise<void> | undefined
  progress: Progress | undefined
  retryAt: number
}

export function createSearch(deps: SearchDeps): Search {
  const { folder, warn, note, memory, mode, background } = deps
  const states = deps.sets.map((set): State => {
    const { name, system, policy, filter } = set
    const key = keyOf('search-index', indexVersion, { system, policy, filter: filter.inputs })
    const prefix = `${name ?? 'packages'}.${key.slice(0, 16)}.`
    const isWanted = mode === 'on'
    return { ...set, prefix, index: undefined, isWanted, running: undefined, progress: undefined, retryAt: 0 }
  })
  const stop = new AbortController()
  let last: Promise<unknown> = Promise.resolve()

  const stateOf = (name: string | undefined) =>
    name === undefined ? states[0] : states.find((state) => state.name === name)

  /** Uses a file, and removes all others of the set. */
  function use(state: State, file: string): void {
    const index = openIndex(file)
    state.index?.close()
    state.index = index
    state.isWanted = true
    const own = `${state.name ?? 'packages'}.`
    for (const name of namesIn(folder)) {
      if (name.startsWith(own) && name.endsWith('.db') && join(folder, name) !== file) {
        rmSync(join(folder, name), { force: true })
      }
    }
  }

  async function make(state: State): Promise<void> {
    const { source } = state
    const pinned = source.current?.('latest') ?? (await source.pin('latest', { old: true }))
    if (stop.signal.aborted || state.index?.revision === pinned.revision) return
    mkdirSync(folder, { recursive: true })
    const started = performance.now()
    const part = join(folder, `${state.prefix}${randomUUID()}.part`)
    const failed = await fillIndex(part, {
      ...state,
      pinned,
      memory,
      now: Date.now(),
      signal: stop.signal,
      onProgress: (progress) => (state.progress = progress),
    })
    const file = join(folder, `${state.prefix}${hash('sha256', pinned.revision).slice(0, 16)}.db`)
    await rename(part, file)
    use(state, file)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const left = failed.length === 0 ? '' : `; ${failed.length} names do not evaluate`
    const { packages = 0 } = state.index ?? {}
    const has = `${packages} package${packages === 1 ? '' : 's'}`
    note(`the search index${ofSet(state)} has ${has}, after ${seconds} s${left}`)
  }

  /** Builds one index at a time. */
  function refresh(state: State): Promise<void> {
    if (state.running) return state.running
    const made = last.then(() => make(state))
    last = made.catch(() => {})
    state.running = made.finally(() => {
      state.running = undefined
      state.progress = undefined
    })
    return state.running
  }

  async function refreshQuietly(state: State): Promise<void> {
    if (!background || stop.signal.aborted || performance.now() < state.retryAt) return
    try {
      await refresh(state)
    } catch (error) {
      state.retryAt = performance.now() + retryAfter
      if (hasCode(error, 'CANCELLED')) return
      warn(`the search index${ofSet(state)} cannot be built: ${messageOf(error)}`)
    }
  }

  /** Reads from an index. If that fails, the index is discarded and built again. */
  function reading<T>(state: State, otherwise: T, work: (index: IndexFile) => T): T {
    if (!state.index) return otherwise
    try {
      return work(state.index)
    } catch (error) {
      warn(`the search index${ofSet(state)} failed and will be rebuilt: ${messageOf(error)}`)
      rmSync(state.index.file, { force: true })
      state.index.close()
      state.index = undefined
      void refreshQuietly(state)
      return otherwise
    }
  }

  /** The first results that may be shown. */
  async function shownOf(
    state: State,
    text: string,
    wanted: number,
    permits: Question['permits'],
  ): Promise<PackageEntry[]> {
    const { index } = state
    // All matches are read at once, so that nothing of the index stays open while other work is done.
    const read = (most: number) => reading<Match[]>(state, [], (open) => [...open.matches(text, most)])
    const first = read(wanted)
    let shown = permits ? first.filter(permits) : first
    if (permits && shown.length < first.length && first.length === wanted) {
      shown = []
      let since = performance.now()
      for (const match of read(wanted + mostHidden)) {
        if (permits(match)) shown.push(match)
        if (shown.length === wanted) break
        if (performance.now() - since < slice) continue
        await breathe()
        // The numbers are those of the index that was read.
        if (state.index !== index) return shownOf(state, text, wanted, permits)
        since = performance.now()
      }
    }
    return reading<PackageEntry[]>(state, [], (open) => shown.flatMap(({ id }) => open.entry(id) ?? []))
  }

  for (const state of states) {
    const found = namesIn(folder).find((name) => name.startsWith(state.prefix) && name.endsWith('.db'))
    if (found === undefined) continue
    try {
      use(state, join(folder, found))
    } catch (error) {
      warn(`the search index${ofSet(state)} cannot be read and will be rebuilt: ${messageOf(error)}`)
      rmSync(join(folder, found), { force: true })
    }
  }
  const look = () => {
    for (const state of states) if (state.isWanted) void refreshQuietly(state)
  }
  const timer = setInterval(look, interval).unref()
  if (background) look()

  return {
    sets: states.map(({ name }) => name),
    async find({ set, text, offset = 0, limit, permits, mayMake = true }) {
      const state = stateOf(set)
      if (!state) return undefined
      if (!state.index && mayMake) {
        state.isWanted = true
        void refreshQuietly(state)
      }
      const wanted = Math.min(offset + limit + 1, mostResults + 1)
      const found = await shownOf(state, text.slice(0, longestQuery), wanted, permits)
      return {
        set: state.name,
        state: state.index ? 'ready' : state.running ? 'making' : 'unavailable',
        revision: state.index?.revision,
        packages: state.index?.packages ?? 0,
        progress: state.progress,
        results: found.slice(offset, offset + limit),
        more: found.length > offset + limit,
      }
    },
    get(set, name) {
      const state = stateOf(set)
      return state && reading(state, undefined, (index) => index.get(name))
    },
    hints(set, name) {
      const state = stateOf(set)
      return state ? reading<string[]>(state, [], (index) => index.called(name)) : []
    },
    async refresh(set) {
      const state = stateOf(set)
      if (state) await refresh(state)
    },
    async close() {
      clearInterval(timer)
      stop.abort()
      await last
      for (const state of states) state.index?.close()
    },
  }
}

const ofSet = ({ name }: State): string => (name === undefined ? '' : ` of ${name}`)

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
