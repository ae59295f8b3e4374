import { unwanted, urgencies, type Demand, type PartialDemand } from './demand.ts'

/** Runs a limited number of tasks at once. */
export type Limiter = {
  /**
   * Runs a task when there is room: the most urgent first, and of equally urgent ones the one that came first.
   * Urgency is read whenever a place is free, so a task moves up as soon as somebody waits for it.
   * @throws CANCELLED when the signal fires before the task starts; what the task throws
   */
  run<T>(task: () => Promise<T>, demand?: PartialDemand): Promise<T>
  readonly running: number
  /** Tasks that have not started. */
  readonly waiting: number
}

type Entry = { readonly start: () => Promise<void>; readonly urgency: Demand['urgency'] }

/** @param most how many tasks run at once */
export function createLimiter(most: number): Limiter {
  const queue = new Set<Entry>() // in the order in which they came
  let running = 0

  const next = () => {
    while (running < most && queue.size > 0) {
      const entry = mostUrgent(queue)
      queue.delete(entry)
      running += 1
      void entry.start().finally(() => {
        running -= 1
        next()
      })
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
            }
          },
        }
        signal?.addEventListener('abort', leave, { once: true })
        queue.add(entry)
        next()
      }),
  }
}

/** The first of the most urgent entries of a queue that is not empty. */
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
