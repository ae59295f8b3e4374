import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Counter, MemoryCounter } from './counter.ts'
import type { GuardedLedger } from './ledger.ts'
import type { Holder } from './quota.ts'

/** Counts in memory, and together with other servers in a ledger. */
export type SharedCounter = Counter & {
  /** Writes what was added to the ledger. */
  flush(): Promise<void>
}

type Counted = Pick<Holder, 'key' | 'id'>

// Milliseconds for which a refusal is repeated without the ledger: another server may have given something back.
const refusalTtl = 5_000
const mostRefusals = 10_000
// Milliseconds between writes of what was added, and the maximum number of holders with pending additions.
const flushInterval = 2_000
const mostPending = 10_000

/**
 * Each `take` is a statement to the ledger. Additions are written every two seconds, for all holders at once. So
 * `spent` and `left` are the values that this server has read last, without a statement. While the ledger fails, only
 * memory counts, starting from those values.
 * @param name distinguishes limits of the same size
 */
export function createSharedCounter(
  memory: MemoryCounter,
  name: string,
  ledger: GuardedLedger,
): SharedCounter {
  const { limit, seconds } = memory
  const refusals = new LRUCache<string, number>({ max: mostRefusals, ttl: refusalTtl })
  let pending = new Map<string, { readonly holder: Counted; amount: number }>()
  let timer: NodeJS.Timeout | undefined

  // A digest, so that the database has no addresses of clients.
  const keyOf = ({ id }: Counted): string =>
    createHash('sha256')
      .update(JSON.stringify([name, limit, seconds, id]))
      .digest('base64url')
  const postpone = (holder: Counted, amount: number) => {
    const key = keyOf(holder)
    const before = pending.get(key)
    if (before) before.amount += amount
    else if (pending.size < mostPending) pending.set(key, { holder, amount })
    timer ??= setTimeout(() => void flush(), flushInterval).unref()
  }
  const flush = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    if (pending.size === 0) return
    const batch = pending
    pending = new Map()
    const uses = [...batch].map(([key, { amount }]) => ({ key, amount, seconds }))
    const totals = await ledger.try((open) => open.add(uses))
    for (const [key, { holder, amount }] of batch) {
      const total = totals?.get(key)
      if (total) await memory.set(holder, total.used + (pending.get(key)?.amount ?? 0), total.left)
      else postpone(holder, amount)
    }
  }

  return {
    ...memory,
    flush,
    async take(holder, amount = 1) {
      const key = keyOf(holder)
      const until = refusals.get(key)
      if (until !== undefined) return Math.max(0, until - performance.now())
      const use = await ledger.try((open) => open.take(key, amount, limit, seconds))
      if (!use) return memory.take(holder, amount)
      await memory.set(holder, use.used, use.left)
      if (use.taken) return undefined
      refusals.set(key, performance.now() + use.left * 1000)
      return use.left * 1000
    },
    async add(holder, amount) {
      await memory.add(holder, amount)
      postpone(holder, amount)
    },
    async giveBack(holder, amount) {
      const key = keyOf(holder)
      refusals.delete(key)
      await memory.giveBack(holder, amount)
      await ledger.try((open) => open.giveBack(key, amount))
    },
  }
}
