import type { IncomingHttpHeaders } from 'node:http'
import type { Method } from './http-client.ts'

/** The maximum number of redirects in one chain. */
export const maxRedirects = 5

/** The target of a redirect. */
export type Redirect = {
  readonly url: URL
  /** Whether it is an http or https URL. Never follow any other. */
  readonly isHttp: boolean
  /** Whether the redirect goes from an encrypted to an unencrypted URL. */
  readonly losesTls: boolean
}

/**
 * Reads a redirect: 307 and 308 keep the method (RFC 9110 §15.4), the others are only safe to follow when reading.
 * Callers must not send credentials to another origin.
 */
export function redirectOf(
  method: Method,
  { status, headers }: { readonly status: number; readonly headers: IncomingHttpHeaders },
  from: URL,
): Redirect | undefined {
  const keepsMethod = status === 307 || status === 308
  const reads = method === 'GET' || method === 'HEAD'
  if (!keepsMethod && !(reads && [301, 302, 303].includes(status))) return undefined
  const url = URL.parse(headers.location ?? '', from.href)
  if (!url) return undefined
  const isHttp = /^https?:$/.test(url.protocol)
  return { url, isHttp, losesTls: from.protocol === 'https:' && url.protocol !== 'https:' }
}
