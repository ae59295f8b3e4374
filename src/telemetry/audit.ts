import { LRUCache } from 'lru-cache'
import type { Identity } from '../access/identity.ts'
import { isNixeryError } from '../errors.ts'
import type { AddressOf } from '../http/address.ts'
import type { AuditEvent, AuditListener } from '../http/audit.ts'
import type { HttpRequest } from '../http/request.ts'
import { jsonLine } from '../text/json-line.ts'
import { redactJsonLine, type Redactor } from '../text/redact.ts'
import type { Lines } from './lines.ts'

export type AuditOptions = {
  readonly lines: Pick<Lines, 'write'>
  readonly redactor: Redactor
  readonly addressOf: AddressOf
  readonly now?: () => number
}

// Per second; further lines are counted and dropped, because any stranger can cause refusals.
const mostRefusals = 100
const mostLines = 1000
// A client sends its credentials with each request; after this time (ms) they count as a new login.
const loginEvery = 3_600_000
const mostLogins = 10_000
// The maximum length of values from clients, in UTF-16 units.
const longest = 300

/** A line of the audit log. */
export const auditLine = (
  event: string,
  facts: Readonly<Record<string, unknown>>,
  time = Date.now(),
): string => `${jsonLine({ time: new Date(time).toISOString(), event, ...facts })}\n`

/** Writes a JSON line for each event, without credentials: it never reads the headers or queries of requests. */
export function createAudit({ lines, redactor, addressOf, now = Date.now }: AuditOptions): AuditListener {
  const logins = new LRUCache<string, true>({ max: mostLogins, ttl: loginEvery })
  let second = 0
  let written = 0
  let refusals = 0
  let dropped = 0

  const put = (event: string, facts: Readonly<Record<string, unknown>>) => {
    lines.write(redactJsonLine(auditLine(event, facts, now()), redactor))
  }
  /** Whether another line may be written in this second. */
  const hasRoom = (event: string): boolean => {
    const current = Math.floor(now() / 1000)
    if (current !== second) {
      if (dropped > 0) put('dropped', { lines: dropped })
      second = current
      written = 0
      refusals = 0
      dropped = 0
    }
    if (written >= mostLines || (event === 'refused' && refusals >= mostRefusals)) {
      dropped += 1
      return false
    }
    written += 1
    if (event === 'refused') refusals += 1
    return true
  }
  return (event) => {
    if (event.event === 'policy') {
      const { event: kind, ...facts } = event
      put(kind, facts)
      return
    }
    const { request } = event
    const address = addressOf(request.peer(), request.header('x-forwarded-for'))
    if (event.event === 'key') {
      // Such lines are few, and none may be missing.
      const { request: _, event: kind, ...facts } = event
      return put(kind, {
        ...factsOf(request, address),
        ...facts,
        by: request.identity.name.slice(0, longest),
      })
    }
    if (event.event === 'login' && !isNew(logins, request.identity, address)) return
    if (hasRoom(event.event)) put(event.event, { ...factsOf(request, address), ...factsOfEvent(event) })
  }
}

function isNew(logins: LRUCache<string, true>, { name, how, issuer }: Identity, address = ''): boolean {
  const key = JSON.stringify([name, how, issuer, address])
  if (logins.has(key)) return false
  logins.set(key, true)
  return true
}

function factsOf(request: HttpRequest, address: string | undefined): Readonly<Record<string, unknown>> {
  const { name, how, issuer, groups } = request.identity
  return {
    request: request.id,
    user: how === 'anonymous' ? undefined : name.slice(0, longest),
    how,
    issuer,
    groups: groups.length > 0 ? groups : undefined,
    address,
    method: request.method,
    path: request.path.slice(0, longest),
    userAgent: request.header('user-agent')?.slice(0, longest),
  }
}

function factsOfEvent(
  event: Exclude<AuditEvent, { event: 'policy' | 'key' }>,
): Readonly<Record<string, unknown>> {
  switch (event.event) {
    case 'login':
      return {}
    case 'build':
      return { image: event.image }
    case 'refused':
      return reasonOf(event.error)
  }
}

function reasonOf(error: unknown): Readonly<Record<string, unknown>> {
  if (!isNixeryError(error)) return {}
  const { code, message, cause } = error
  return { code, reason: (cause instanceof Error ? cause.message : message).slice(0, longest) }
}
