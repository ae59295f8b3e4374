import type { QuotaUses } from './catalog/quota-uses.ts'
import type { Config } from './config.ts'
import type { AddressOf } from './http/address.ts'
import type { AuditListener } from './http/audit.ts'
import { createRequestQuotas, type RequestQuotas } from './http/quotas.ts'
import type { Identity } from './access/identity.ts'
import type { Quota } from './quotas/quota.ts'
import { guarded } from './quotas/ledger.ts'
import { createQuotas } from './quotas/quotas-by-holder.ts'
import { openAuditLines } from './telemetry/audit-lines.ts'
import { createAudit } from './telemetry/audit.ts'
import type { Redactor } from './text/redact.ts'

/** The audit log. */
export type Accounting = {
  /** Undefined if it is off. */
  readonly audit: AuditListener | undefined
  close(): Promise<void>
}

export type AccountingDeps = {
  readonly addressOf: AddressOf
  readonly redactor: Redactor
  readonly warn: (line: string) => void
}

/** @throws CONFIG_INVALID when the audit log cannot be written */
export async function openAccounting(config: Config, deps: AccountingDeps): Promise<Accounting> {
  const { addressOf, redactor, warn } = deps
  const target = config.NIXERY_AUDIT_LOG
  const lines = target === undefined ? undefined : await openAuditLines(target, warn)
  const flush = () => lines?.flush()
  process.on('exit', flush)
  return {
    audit: lines && createAudit({ lines, redactor, addressOf }),
    async close() {
      process.off('exit', flush)
      await lines?.close()
    },
  }
}

export type QuotaDeps = {
  readonly addressOf: AddressOf
  /** Counts together with other servers. */
  readonly ledger: QuotaUses
  /** The quota of an identity in the current policy, if any. */
  readonly ofPolicy: ((identity: Identity) => Quota | undefined) | undefined
  readonly warn: (line: string) => void
}

/**
 * The quotas of clients; undefined if there are none. The quotas in the settings apply to anonymous clients without a
 * quota in the policy.
 */
export function quotasOf(
  config: Config,
  { addressOf, ledger, ofPolicy, warn }: QuotaDeps,
): RequestQuotas | undefined {
  const quota = quotaOfSettings(config)
  if (!quota && !ofPolicy) return undefined
  const ofSettings = (identity: Identity) => (identity.how === 'anonymous' ? quota : undefined)
  const quotas = createQuotas(
    (identity) => ofPolicy?.(identity) ?? ofSettings(identity),
    guarded(ledger, warn),
  )
  return createRequestQuotas(quotas, addressOf)
}

/** The quota of anonymous clients; undefined if there is none. */
export function quotaOfSettings(config: Config): Quota | undefined {
  const quota: Quota = {
    requests: config.NIXERY_QUOTA_REQUESTS,
    builds: config.NIXERY_QUOTA_BUILDS,
    buildsAtOnce: config.NIXERY_QUOTA_BUILDS_AT_ONCE,
    bytes: config.NIXERY_QUOTA_BYTES,
  }
  return Object.values(quota).some((limit) => limit !== undefined) ? quota : undefined
}
