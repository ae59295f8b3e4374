import type { Identity } from '../access/identity.ts'
import { matcherOf, type Who } from '../access/who.ts'
import type { Quota } from './quota.ts'

/** The quota of each of these clients. */
export type QuotaRule = { readonly who: readonly Who[]; readonly quota: Quota }

/** Finds the quota of an identity: that of the first matching rule; undefined if none matches. */
export function quotasOfRules(rules: readonly QuotaRule[]): (identity: Identity) => Quota | undefined {
  const matchers = rules.map(({ who, quota }) => ({ isFor: matcherOf(who), quota }))
  return (identity) => matchers.find(({ isFor }) => isFor(identity))?.quota
}
