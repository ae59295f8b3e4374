import type { Identity } from '../access/identity.ts'
import { matcherOf, type Who } from '../access/who.ts'
import type { Quota } from './quota.ts'

/** How much each of these clients may use. */
export type QuotaRule = { readonly who: readonly Who[]; readonly quota: Quota }

/** Finds the quota of an identity: that of the first rule that is for it; undefined if none is. */
export function quotasOfRules(rules: readonly QuotaRule[]): (identity: Identity) => Quota | undefined {
  const matchers = rules.map(({ who, quota }) => ({ isFor: matcherOf(who), quota }))
  return (identity) => matchers.find(({ isFor }) => isFor(identity))?.quota
}
