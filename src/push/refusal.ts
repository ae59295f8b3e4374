import { reasonIn, RegistryError } from './errors.ts'
import type { Answer } from './transport.ts'

/**
 * The error for an unexpected response.
 * @param what the request that failed: `a blob upload`
 */
export function refused(
  { host, loggedIn }: { readonly host: string; readonly loggedIn: boolean },
  what: string,
  { status, headers, text }: Answer,
): RegistryError {
  const passing = status === 408 || status === 429 || status >= 500
  const reason = reasonIn(text)
  const message = `${host} ${passing ? 'failed on' : 'refused'} ${what} (${status}${reason && `, ${reason}`})`
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
      ? 'the credentials do not allow this'
      : 'no credentials found: log in with podman login or docker login, or use --username and --password-stdin'
  }
  if (status === 404) return 'check that this is a registry, and that it creates repositories on push'
  return undefined
}

/** Seconds, or a date (RFC 9110 §10.2.3). */
function secondsOf(retryAfter: string): number {
  const seconds = /^\d+$/.test(retryAfter.trim())
    ? Number(retryAfter)
    : (Date.parse(retryAfter) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0
}
