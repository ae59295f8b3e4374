import { resolve } from 'node:path'
import { size, valueOf, whole } from './values.ts'

const auditTarget = valueOf('stderr, fd:3 or the path of a file', (value) =>
  value === 'stderr' || /^fd:\d{1,5}$/.test(value)
    ? value
    : value.startsWith('fd:')
      ? undefined
      : resolve(value),
)

/** Quotas of anonymous clients, and the audit log. */
export const accountingSettings = {
  NIXERY_QUOTA_REQUESTS: whole('a number of requests per second', 1, 1_000_000)
    .optional()
    .describe(
      'requests per second from one anonymous IPv4 address or IPv6 /64 network, counted by each server alone; further requests get 429; unlimited if not set',
    ),
  NIXERY_QUOTA_BUILDS: whole('a number of builds per hour', 1, 1_000_000)
    .optional()
    .describe(
      'builds per hour for one anonymous address: images that must be evaluated, fetched, built or packed; unlimited if not set',
    ),
  NIXERY_QUOTA_BUILDS_AT_ONCE: whole('a number of builds', 1, 1_000_000)
    .optional()
    .describe(
      'builds of one anonymous address that may run at the same time, counted by each server alone; unlimited if not set',
    ),
  NIXERY_QUOTA_BYTES: size
    .optional()
    .describe('bytes of blobs per day for one anonymous address, such as `50GB`; unlimited if not set'),
  NIXERY_AUDIT_LOG: auditTarget
    .optional()
    .describe(
      'destination of the audit log, which has a JSON line for each login, refusal, build caused by a client, and change of keys or policy: a file, `stderr`, or an open file descriptor such as `fd:3`; disabled if not set',
    ),
}
