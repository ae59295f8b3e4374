import { unwanted } from '../../queue/demand.ts'

/** A shared number of bytes. */
export type Budget = {
  /**
   * Takes bytes, in the order of the calls, and returns a function that releases them. A request for more than the
   * total waits until all are free.
   * @throws CANCELLED when the signal fires before enough are free
   */
  take(bytes: number, signal?: AbortSignal): Promise<() => void>
  /** Takes bytes if they are free and no caller is waiting; otherwise returns undefined. */
  takeNow(bytes: number): (() => void) | undefined
}

export function createBudget(total: number): Budget {
  let free = total
  const waiting = new Set<{ readonly bytes: number; readonly begin: () => void }>()
  const next = () => {
    for (const one of waiting) {
      if (one.bytes > free) return
      waiting.delete(one)
      free -= one.bytes
      one.begin()
    }
  }
  const givingBack = (bytes: number) => {
    let isTaken = true
    return () => {
      if (isTaken) free += bytes
      isTaken = false
      next()
    }
  }
  return {
    takeNow(bytes) {
      if (waiting.size > 0 || bytes > free) return undefined
      free -= bytes
      return givingBack(bytes)
    },
    take: (wanted, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(unwanted(signal.reason))
        const bytes = Math.min(wanted, total)
        const leave = () => {
          waiting.delete(one)
          reject(unwanted(signal?.reason))
          next()
        }
        const begin = () => {
          signal?.removeEventListener('abort', leave)
          resolve(givingBack(bytes))
        }
        const one = { bytes, begin }
        signal?.addEventListener('abort', leave, { once: true })
        waiting.add(one)
        next()
      }),
  }
}
