import { reasonIn, RegistryError } from './errors.ts'
import type { Answer } from './transport.ts'

/**
 * Says an answer that is none of those hoped for.
 * @param doing what it refused: `to take a blob`
 */
export function refused(
  { host, loggedIn }: { readonly host: string; readonly loggedIn: boolean },
  doing: string,
  { status, headers, text }: Answer,
): RegistryError {
  const passing = status === 408 || status === 429 || status >= 500
  const reason = reasonIn(text)
  const message = `${host} ${passing ? 'failed' : 'refused'} ${doing} (${status}${reason && `, ${reason}`})`
  const hint = hints(status, loggedIn)
  return new RegistryError(passing ? 'REGISTRY_UNAVAILABLE' : 'REGISTRY_REFUSED', message, {
    passing,
    detail: { status },
    ...(hint !== undefined && { hint }),
    ...(headers['retry-after'] !== undefined && { retryAfter: secondsOf(headers['retry-after']) }),
  })
}

function hints(status: number, loggedIn: boolean): string | undefined {
  if (status === 401 || status === 403) {
    return loggedIn
      ? 'the credentials that were found do not allow this'
      : 'no credentials were found: log in with podman login or docker login, or give --username and --password-stdin'
  }
  if (status === 404) return 'is this a registry, and may repositories be made there by pushing to them?'
  return undefined
}

/** Seconds, or a date (RFC 9110 §10.2.3). */
function secondsOf(retryAfter: string): number {
  const seconds = /^\d+$/.test(retryAfter.trim())
    ? Number(retryAfter)
    : (Date.parse(retryAfter) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0
}
