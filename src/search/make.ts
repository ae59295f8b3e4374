import { hash, randomUUID } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { keyOf, type Json } from '../image/canonical.ts'
import { notEvaluated } from '../text/amounts.ts'
import type { NameFilter } from '../packages/policy.ts'
import type { PackageSource, PinnedSet } from '../packages/source.ts'
import { fillIndex, type FillOptions } from './fill.ts'
import { indexFormat } from './index-file.ts'
import { ofSet, packagesIn, prefixOf, type SetIndex } from './set-index.ts'

/** A package set to search. */
export type SearchedSet = Pick<FillOptions, 'list' | 'system'> & {
  /** Undefined for a single set. */
  readonly name: string | undefined
  readonly source: Pick<PackageSource, 'pin' | 'current'>
  readonly filter: NameFilter
  /** What the packages depend on besides the revision. */
  readonly policy: Json
}

/** A package set with its index, and the rules by which packages are in it. */
export type MadeSet = { readonly set: SearchedSet; readonly index: SetIndex; readonly rules: string }

/** Identifies the rules that decide which packages of a set are in its index. */
export const rulesOf = ({ system, policy, filter }: SearchedSet): string =>
  keyOf('search-index', indexFormat, { system, policy, filter: filter.inputs })

/** Makes indexes by evaluating package sets, one at a time. */
export type Maker = {
  /** The current revision of a set. @throws what pinning does */
  pin(set: SearchedSet): Promise<PinnedSet>
  /** Makes an index and uses it. @throws CANCELLED, what evaluating does */
  make(made: MadeSet, pinned: PinnedSet, onProgress: FillOptions['onProgress']): Promise<void>
  /** Ends the work. The caller ends the evaluation. */
  close(): Promise<void>
}

export type MakerOptions = {
  /** Bytes of memory for each evaluation. */
  readonly memory: number
  readonly note: (line: string) => void
}

export function createMaker({ memory, note }: MakerOptions): Maker {
  const stop = new AbortController()
  let last: Promise<unknown> = Promise.resolve()

  const makeNow = async (
    { set, index, rules }: MadeSet,
    pinned: PinnedSet,
    onProgress: FillOptions['onProgress'],
  ) => {
    stop.signal.throwIfAborted()
    const started = performance.now()
    const part = index.part(`${prefixOf(rules)}${randomUUID()}`)
    const failed = await fillIndex(part, {
      ...set,
      rules,
      pinned,
      memory,
      now: Date.now(),
      signal: stop.signal,
      onProgress,
    })
    const file = index.place(`${prefixOf(rules)}${hash('sha256', pinned.revision).slice(0, 16)}`)
    await rename(part, file)
    index.use(file)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const left = failed.length === 0 ? '' : `; ${notEvaluated(failed.length)}`
    note(`the search index${ofSet(index)} has ${packagesIn(index)}, after ${seconds} s${left}`)
  }

  return {
    pin: async ({ source }) => source.current?.('latest') ?? source.pin('latest', { old: true }),
    make(made, pinned, onProgress) {
      const making = last.then(() => makeNow(made, pinned, onProgress))
      last = making.catch(() => {})
      return making
    },
    async close() {
      stop.abort()
      await last
    },
  }
}
