import { setTimeout as delay } from 'node:timers/promises'
import { hasCode, NixeryError } from '../errors.ts'
import { isSound } from './check.ts'
import { createDownloads, type Downloads } from './downloads.ts'
import { longestTransfer, retryAfter, usualIntervals, type Intervals } from './intervals.ts'
import type { SupplyOptions } from './local-supply.ts'
import type { MadeSet, Maker } from './make.ts'
import { messageOf, ofSet, packagesIn, type SetIndex } from './set-index.ts'
import { hasFailed, isSame, type SharedIndex, type SharedIndexes, type SharedSet } from './shared.ts'
import type { SearchableSet, Supply } from './supply.ts'

/** The indexes of a process, where one of several processes makes them for all. */
export type SharedSupply = {
  readonly sets: readonly SearchableSet[]
  /**
   * Makes indexes for all processes until it is stopped; only one process may do that at a time.
   * @param mayMake whether this process has the settings of the others; called each time
   */
  lead(mayMake: () => boolean): { stop(): void }
  /** Ends the work in the background; the caller closes the maker. */
  close(): Promise<void>
}

export type SharedSupplyOptions = SupplyOptions & {
  readonly shared: SharedIndexes
  readonly note: (line: string) => void
  /** Ends waiting. */
  readonly signal?: AbortSignal | undefined
  readonly intervals?: Intervals
}

/** What makes the index of a set. */
type Making = MadeSet & { readonly maker: Maker }

type State = {
  readonly index: SetIndex
  /** Undefined in a process without the package set. */
  readonly made: Making | undefined
  isWanted: boolean
  known: SharedSet | undefined
  making: Promise<void> | undefined
  readonly downloads: Downloads
  /** When the revision is checked next, and a failed making repeated. */
  checkAt: number
  makeAt: number
  /** What was last reported, which is not repeated. */
  reported: string | undefined
}

/** @param sets with a maker, those that it can make; otherwise their indexes alone */
export function createSharedSupply(
  sets: readonly (MadeSet | { readonly index: SetIndex })[],
  maker: Maker | undefined,
  { shared, mode, background, note, warn, signal, intervals = usualIntervals }: SharedSupplyOptions,
): SharedSupply {
  const closing = new AbortController()
  const stop = signal ? AbortSignal.any([closing.signal, signal]) : closing.signal
  const nameOf = ({ index }: State) => index.name ?? ''
  const transferring = () => AbortSignal.any([stop, AbortSignal.timeout(longestTransfer)])
  const states = sets.map((set) => {
    const { index } = set
    const state: State = {
      index,
      made: 'set' in set && maker ? { ...set, maker } : undefined,
      isWanted: mode === 'on' || index.current !== undefined,
      known: undefined,
      making: undefined,
      downloads: createDownloads({
        index,
        shared,
        intervals,
        transferring,
        report: (line) => report(state, line),
      }),
      checkAt: 0,
      makeAt: 0,
      reported: undefined,
    }
    return state
  })
  let mayLead: (() => boolean) | undefined
  let wake = Promise.withResolvers<void>()

  /** Whether a request needs the index, and it may still arrive. */
  const isExpected = ({ isWanted, known }: State) => (isWanted || known !== undefined) && !hasFailed(known)

  function report(state: State, line: string): void {
    if (state.reported !== line) warn(line)
    state.reported = line
  }

  async function download(state: State, latest: SharedIndex): Promise<boolean> {
    const { index, downloads } = state
    if (!(await downloads.get(latest))) return false
    if (background) note(`the search index${ofSet(index)} of another process is used: ${packagesIn(index)}`)
    state.reported = undefined
    return true
  }

  /** Makes the index if it is missing, or of another revision than the current one, and stores it for all. */
  async function makeForAll(state: State, made: Making, usable: SharedIndex | undefined): Promise<void> {
    const { index, rules, set, maker: own } = made
    try {
      const pinned = await own.pin(set)
      const facts = { rules, revision: pinned.revision }
      // It is wanted as long as it is made.
      await shared.want(nameOf(state), rules)
      const isThere = isSame(usable, facts)
      const isUsed = isThere && (isSame(index.current, facts) || (await download(state, usable)))
      if (!isUsed) {
        // Its file may have been damaged since it was made.
        if (!isSame(index.current, facts) || !(await isSound(index.current.file))) {
          await own.make(made, pinned, (progress) => {
            shared.report(nameOf(state), { progress }).catch(() => {}) // the next one may arrive
          })
        }
        const { file } = index.current ?? {}
        if (file === undefined || mayLead?.() !== true) return
        await shared.publish(nameOf(state), file, facts, transferring())
      }
      state.checkAt = performance.now() + intervals.check
      state.reported = undefined
    } catch (error) {
      if (stop.aborted) return
      // What was made is stored as soon as that is possible.
      const isOfStore = hasCode(error, 'STORE_UNAVAILABLE', 'STORE_FULL')
      state.makeAt = performance.now() + (isOfStore ? intervals.again : retryAfter)
      const what = isOfStore ? 'shared' : 'built'
      report(state, `the search index${ofSet(index)} cannot be ${what}: ${messageOf(error)}`)
      if (isOfStore) return
      await shared.report(nameOf(state), { failed: true }).catch(() => {}) // others see that it does not arrive
    }
  }

  async function follow(state: State, known: SharedSet | undefined): Promise<void> {
    const { index, made } = state
    const leads = made !== undefined && mayLead?.() === true
    state.known = known
    if (!known && !state.isWanted) return
    if (!known && !leads) await shared.want(nameOf(state))
    const rules = leads ? made.rules : known?.rules
    if (leads && known?.rules !== rules) await shared.want(nameOf(state), rules)
    // The rules have changed: what they deny must not be found.
    if (rules !== undefined && index.current && index.current.rules !== rules) index.drop()
    let usable = known?.latest?.rules === rules ? known?.latest : undefined
    const now = performance.now()
    // What the leader has may be newer, and could not be stored yet.
    const has = leads ? index.current !== undefined : isSame(index.current, usable)
    if (usable && !has && !state.making && state.downloads.isDue(usable)) {
      try {
        if (!(await download(state, usable))) usable = undefined
      } catch (error) {
        if (stop.aborted) return
        report(state, `the search index${ofSet(index)} cannot be fetched: ${messageOf(error)}`)
      }
    }
    if (!leads || state.making || now < state.makeAt || (usable && now < state.checkAt)) return
    state.making = makeForAll(state, made, usable).finally(() => (state.making = undefined))
  }

  async function run(): Promise<void> {
    while (!stop.aborted) {
      wake = Promise.withResolvers<void>()
      try {
        const all = await shared.sets()
        await Promise.all(states.map((state) => follow(state, all.get(nameOf(state)))))
      } catch (error) {
        // The catalog has logged why it cannot be used; until it is back, nothing changes.
        if (!hasCode(error, 'STORE_UNAVAILABLE'))
          warn(`the search indexes are not followed: ${messageOf(error)}`)
      }
      const isWaiting = states.some((state) => !state.index.current && isExpected(state))
      const ending = new AbortController()
      const pause = delay(isWaiting ? intervals.wait : intervals.look, undefined, {
        signal: AbortSignal.any([stop, ending.signal]),
        ref: false,
      }).catch(() => {})
      await Promise.race([pause, wake.promise]).finally(() => ending.abort())
    }
  }
  const running = background ? run() : Promise.resolve()

  /** Uses the index of the current revision, which this process makes if there is none. */
  async function refreshWith(state: State, made: Making): Promise<void> {
    const { maker: own, set } = made
    const pinned = await own.pin(set)
    const facts = { rules: made.rules, revision: pinned.revision }
    if (isSame(state.index.current, facts)) return
    // Without a database, it makes one for itself.
    const all = await shared.sets().catch(() => undefined)
    const latest = all?.get(nameOf(state))?.latest
    if (latest && isSame(latest, facts) && (await download(state, latest))) return
    await own.make(made, pinned, () => {})
  }

  /** Waits until another process has made an index. */
  async function waitForOthers(state: State): Promise<void> {
    state.isWanted = true
    for (let isTold = false; ;) {
      stop.throwIfAborted()
      await follow(state, (await shared.sets()).get(nameOf(state)))
      if (state.index.current) return
      if (hasFailed(state.known)) {
        throw new NixeryError('NIX_UNAVAILABLE', `the search index${ofSet(state.index)} could not be built`, {
          hint: 'the logs of the workers have the cause; they try again after a while',
        })
      }
      if (!isTold) note(`a worker builds the search index${ofSet(state.index)}`)
      isTold = true
      await delay(intervals.wait, undefined, { signal: stop })
    }
  }

  const supplyOf = (state: State): Supply => ({
    want() {
      if (state.isWanted) return
      state.isWanted = true
      wake.resolve()
    },
    isMaking: () => isExpected(state),
    progress() {
      const { status } = state.known ?? {}
      return status && 'progress' in status ? status.progress : undefined
    },
    refresh: () => (state.made ? refreshWith(state, state.made) : waitForOthers(state)),
  })

  return {
    sets: states.map((state) => ({ index: state.index, supply: supplyOf(state) })),
    lead(mayMake) {
      mayLead = mayMake
      wake.resolve()
      return { stop: () => (mayLead = undefined) }
    },
    async close() {
      closing.abort()
      await running
      for (const { making } of states) await making
    },
  }
}
