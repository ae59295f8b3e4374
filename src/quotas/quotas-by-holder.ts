import { createHash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Identity } from '../access/identity.ts'
import type { GuardedLedger } from './ledger.ts'
import type { Holder, Quota, QuotaUse } from './quota.ts'
import { createUsage, type Usage } from './quotas.ts'

export type Quotas = {
  /**
   * Returns the usage counter of a client; undefined for one without limits.
   * @param addressOf called only where it counts
   */
  of(
    identity: Identity,
    addressOf: () => string | undefined,
  ): { readonly usage: Usage; readonly holder: Holder } | undefined
  /** What was used of all quotas, also those that a policy had before it changed. */
  uses(): Promise<QuotaUse[]>
  /** Writes what is not yet in the ledger. */
  flush(): Promise<void>
}

// Clients choose their addresses, so addresses share a fixed number of counters, 200 bytes each.
const mostAddresses = 2 ** 18
// Quotas of the current policy file, and of earlier versions.
const mostQuotas = 1000

/**
 * @param quotaOf the quota of an identity; called for each request, so that changes take effect at once
 * @param ledger counts builds and bytes together with other servers
 */
export function createQuotas(
  quotaOf: (identity: Identity) => Quota | undefined,
  ledger?: GuardedLedger,
): Quotas {
  const usages = new LRUCache<string, Usage>({ max: mostQuotas })
  const known = new WeakMap<Quota, Usage>()
  // A quota that stays the same when the policy changes keeps its counters.
  const usageOf = (quota: Quota): Usage => {
    const text = JSON.stringify([quota.requests, quota.builds, quota.buildsAtOnce, quota.bytes])
    const usage = usages.get(text) ?? createUsage(quota, ledger)
    usages.set(text, usage)
    known.set(quota, usage)
    return usage
  }
  const seed = randomBytes(16)
  // Random, so that clients cannot find out which addresses share a counter.
  const placeOf = (address: string) =>
    createHash('sha256').update(seed).update(address).digest().readUInt32LE() % mostAddresses

  const holderAt = (address: string | undefined): Holder => ({
    id: `address ${address ?? ''}`,
    key: `address ${placeOf(address ?? '')}`,
    shown: address ?? 'this address',
  })
  const holderNamed = (name: string, issuer: string): Holder => {
    const id = `user ${issuer}/${name}`
    return { id, key: id, shown: name }
  }

  return {
    of(identity, addressOf) {
      const quota = quotaOf(identity)
      if (!quota) return undefined
      const usage = known.get(quota) ?? usageOf(quota)
      const { name, issuer = '' } = identity
      const holder =
        identity.how === 'anonymous' || name === '' ? holderAt(addressOf()) : holderNamed(name, issuer)
      return { usage, holder }
    },
    flush: async () => void (await Promise.all([...usages.values()].map((usage) => usage.flush()))),
    uses: async () => (await Promise.all([...usages.values()].map((usage) => usage.uses()))).flat(),
  }
}
