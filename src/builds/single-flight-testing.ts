import assert from 'node:assert/strict'
import { hasCode } from '../errors.ts'
import type { Demand } from '../queue/demand.ts'

/** Work that ends on demand, and counts how often it was started. */
export function work() {
  const signals: AbortSignal[] = []
  const ends: PromiseWithResolvers<string>[] = []
  return {
    signals,
    ends,
    start: ({ signal }: Demand): Promise<string> => {
      const end = Promise.withResolvers<string>()
      signals.push(signal)
      ends.push(end)
      return end.promise
    },
  }
}
export const cancelled = (waiter: Promise<unknown>) =>
  assert.rejects(waiter, (error) => hasCode(error, 'CANCELLED'))
