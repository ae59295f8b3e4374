import { NixeryError } from '../errors.ts'
import { storePathName, type StorePath } from '../image/store-path.ts'

/** The result of reading one narinfo. */
export type Reading =
  | { readonly kind: 'kept' | 'fetched'; readonly references: readonly StorePath[] }
  | { readonly kind: 'missing' | 'broken' | 'failed'; readonly reason: string }

/** The number of narinfos by result: read from disk, fetched, not in the cache, unusable, unreachable. */
export type Tally = Record<Reading['kind'], number>

export type ReferenceCounts = {
  /** The number of references to store paths with a name, by name. */
  readonly counts: ReadonlyMap<string, number>
  readonly tally: Readonly<Tally>
  /** The first few failures, with their reasons. */
  readonly examples: readonly string[]
}

export type CountOptions = {
  /** The number of concurrent requests. */
  readonly concurrency: number
  readonly signal?: AbortSignal | undefined
  /** Called with the tally after each narinfo; it is always the same object. */
  readonly onRead?: (tally: Readonly<Tally>) => void
}

const mostExamples = 10
// After this many failures in a row, the cache or the network is considered unreachable.
const failuresToGiveUp = 100

/**
 * Counts how often these paths refer to paths of each name. Self-references count, as in the original. Memory holds the
 * counts and the narinfos being read.
 * @param read must not throw for a failure of a single narinfo
 * @throws SOURCE_INVALID if the cache has stopped responding, the signal's reason
 */
export async function countReferences(
  paths: readonly StorePath[],
  read: (path: StorePath, signal: AbortSignal) => Promise<Reading>,
  options: CountOptions,
): Promise<ReferenceCounts> {
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
          hint: 'run the same command again to continue; narinfos that were read are kept',
        }),
      )
    }
    options.onRead?.(tally)
  }

  // All workers share one iterator: each takes the next path.
  const queue = paths.values()
  const worker = async () => {
    for (const path of queue) {
      if (signal.aborted) return
      try {
        take(path, await read(path, signal))
      } catch (error) {
        end.abort(error) // stops the other workers
      }
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, worker))
  signal.throwIfAborted()
  return { counts, tally, examples }
}

function add(counts: Map<string, number>, name: string): void {
  const count = counts.get(name)
  // Copies the text: a V8 substring refers to its parent string, so a key would keep a whole narinfo in memory.
  if (count === undefined) counts.set(Buffer.from(name, 'latin1').toString('latin1'), 1)
  else counts.set(name, count + 1)
}
