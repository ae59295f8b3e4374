import type { Config } from './config.ts'
import type { AddressOf } from './http/address.ts'
import type { AuditListener } from './http/audit.ts'
import { createRequestQuotas, type RequestQuotas } from './http/quotas.ts'
import { createQuotas } from './quotas/quotas-by-holder.ts'
import { openAuditLines } from './telemetry/audit-lines.ts'
import { createAudit } from './telemetry/audit.ts'
import type { Redactor } from './text/redact.ts'

/** Who uses how much, and who did what. Each part is undefined where it is off, and costs nothing then. */
export type Accounting = {
  readonly quotas: RequestQuotas | undefined
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
    quotas: quotasOf(config, addressOf),
    audit: lines && createAudit({ lines, redactor, addressOf }),
    async close() {
      process.off('exit', flush)
      await lines?.close()
    },
  }
}

function quotasOf(config: Config, addressOf: AddressOf): RequestQuotas | undefined {
  const quota = {
    requests: config.NIXERY_QUOTA_REQUESTS,
    builds: config.NIXERY_QUOTA_BUILDS,
    buildsAtOnce: config.NIXERY_QUOTA_BUILDS_AT_ONCE,
    bytes: config.NIXERY_QUOTA_BYTES,
  }
  if (Object.values(quota).every((limit) => limit === undefined)) return undefined
  const quotas = createQuotas((identity) => (identity.how === 'anonymous' ? quota : undefined))
  return createRequestQuotas(quotas, addressOf)
}
