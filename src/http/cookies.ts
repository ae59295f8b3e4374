import type { HttpRequest } from './request.ts'

/**
 * The cookies of the pages. Browsers accept names with this prefix only with `Secure`, for the whole host, and from
 * this host itself (RFC 6265bis §4.1.3.2).
 */
export const cookies = {
  session: '__Host-nixery-session',
  form: '__Host-nixery-form',
  login: '__Host-nixery-login',
} as const

/** Seconds for which a session is valid, and within which a login must be completed. */
export const sessionLifetime = 8 * 3600
export const loginLifetime = 600

/** The value of a cookie in a request. */
export function cookieIn(request: Pick<HttpRequest, 'header'>, name: string): string | undefined {
  for (const pair of request.header('cookie')?.split(';') ?? []) {
    const [key = '', value = ''] = pair.trim().split('=', 2)
    if (key === name && /^[\w.-]+$/.test(value)) return value
  }
  return undefined
}

/** Formats `Set-Cookie`. @param seconds for which the cookie is stored; 0 removes it */
export const setCookie = (
  name: string,
  value: string,
  seconds: number,
): Readonly<Record<string, string>> => ({
  'Set-Cookie': `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; Secure; SameSite=Lax`,
})
