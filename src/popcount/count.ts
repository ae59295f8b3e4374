import { NixeryError } from '../errors.ts'
import { storePathName, type StorePath } from '../image/store-path.ts'

/** How reading one narinfo ended. */
export type Reading =
  | { readonly kind: 'kept' | 'fetched'; readonly references: readonly StorePath[] }
  | { readonly kind: 'missing' | 'broken' | 'failed'; readonly reason: string }

/** How many narinfos ended how: read from disk, fetched, not in the cache, unusable, out of reach. */
export type Tally = Record<Reading['kind'], number>

export type Counted = {
  /** References to store paths of a name, by that name. */
  readonly counts: ReadonlyMap<string, number>
  readonly tally: Readonly<Tally>
  /** The first few that were not read, with the reason. */
  readonly examples: readonly string[]
}

export type CountOptions = {
  /** How many narinfos are read at once. */
  readonly concurrency: number
  readonly signal?: AbortSignal | undefined
  /** Gets the tally after each narinfo; it is the same object every time. */
  readonly onRead?: (tally: Readonly<Tally>) => void
}

const mostExamples = 10
// So many in a row are no longer a few unlucky ones: the cache, or the way to it, is gone.
const failuresToGiveUp = 100

/**
 * Counts, over all of these paths, how often a path of some name is referred to; that of a path to itself counts, as
 * with the original. Memory holds the counts and what is being read.
 * @param read must not throw for what is wrong with one narinfo
 * @throws SOURCE_INVALID when the cache has stopped answering, the signal's reason
 */
export async function countReferences(
  paths: readonly StorePath[],
  read: (path: StorePath, signal: AbortSignal) => Promise<Reading>,
  options: CountOptions,
): Promise<Counted> {
  const counts = new Map<string, number>()
  const tally: Tally = { kept: 0, fetched: 0, missing: 0, broken: 0, failed: 0 }
  const examples: string[] = []
  let failuresInARow = 0
  const end = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, end.signal]) : end.signal

  const take = (path: StorePath, reading: Reading) => {
    tally[reading.kind] += 1
    failuresInARow = reading.kind === 'failed' ? failuresInARow + 1 : 0
    if ('references' in reading) {
      for (const reference of reading.references) add(counts, storePathName(reference))
    } else if (examples.length < mostExamples) examples.push(`${storePathName(path)}: ${reading.reason}`)
    if (failuresInARow >= failuresToGiveUp) {
      const message = `${failuresInARow} narinfos in a row could not be fetched`
      const last = 'reason' in reading ? reading.reason : ''
      end.abort(
        new NixeryError('SOURCE_INVALID', `${message}, the last because: ${last}`, {
          hint: 'what was read is kept: run the same command again to continue',
        }),
      )
    }
    options.onRead?.(tally)
  }

  // One iterator for all workers: each takes the next path that none has taken.
  const queue = paths.values()
  const worker = async () => {
    for (const path of queue) {
      if (signal.aborted) return
      try {
        take(path, await read(path, signal))
      } catch (error) {
        end.abort(error) // the other workers are not to go on by themselves
      }
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, worker))
  signal.throwIfAborted()
  return { counts, tally, examples }
}

function add(counts: Map<string, number>, name: string): void {
  const count = counts.get(name)
  // V8 makes a slice by pointing into the string that it is cut from: as a key it would keep a whole narinfo alive.
  if (count === undefined) counts.set(Buffer.from(name, 'latin1').toString('latin1'), 1)
  else counts.set(name, count + 1)
}
