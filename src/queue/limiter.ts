import { unwanted, urgencies, type Demand, type PartialDemand } from './demand.ts'

/** Runs a limited number of tasks at once. */
export type Limiter = {
  /**
   * Runs a task when fewer than the limit are running: the most urgent first, then in order of arrival. The urgency is
   * read whenever a task ends, so a task moves up as soon as a client waits for it.
   * @throws CANCELLED when the signal fires before the task starts; the errors of the task
   */
  run<T>(task: () => Promise<T>, demand?: PartialDemand): Promise<T>
  readonly running: number
  /** The number of tasks that have not started. */
  readonly waiting: number
}

type Entry = { readonly start: () => Promise<void>; readonly urgency: Demand['urgency'] }

/** @param limit the number of tasks that run at once */
export function createLimiter(limit: number): Limiter {
  const queue = new Set<Entry>() // in order of arrival
  let running = 0

  const next = () => {
    while (running < limit && queue.size > 0) {
      const entry = mostUrgent(queue)
      queue.delete(entry)
      running += 1
      void entry.start()
    }
  }

  return {
    get running() {
      return running
    },
    get waiting() {
      return queue.size
    },
    run: (task, { signal, urgency = () => urgencies.waiting } = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(unwanted(signal.reason))
        const leave = () => {
          queue.delete(entry)
          reject(unwanted(signal?.reason))
        }
        const entry: Entry = {
          urgency,
          async start() {
            signal?.removeEventListener('abort', leave)
            try {
              resolve(await task())
            } catch (error) {
              reject(error)
            } finally {
              running -= 1
              next()
            }
          },
        }
        signal?.addEventListener('abort', leave, { once: true })
        queue.add(entry)
        next()
      }),
  }
}

/** The first of the most urgent entries of a non-empty queue. */
function mostUrgent(queue: ReadonlySet<Entry>): Entry {
  let [best] = queue
  if (!best) throw new Error('the queue is empty')
  let highest = best.urgency()
  for (const entry of queue) {
    if (highest === urgencies.waiting) break
    const urgency = entry.urgency()
    if (urgency > highest) [best, highest] = [entry, urgency]
  }
  return best
}
