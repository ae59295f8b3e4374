import { readFile } from 'node:fs/promises'
import type { Identity } from '../access/identity.ts'
import type { Outcome } from '../access/credentials.ts'
import type { Issuer } from '../credentials/issuer.ts'
import type { OidcLogin } from '../credentials/oidc.ts'
import type { Sessions } from '../credentials/sessions.ts'
import { cookieIn, cookies } from '../http/cookies.ts'
import type { HttpRequest } from '../http/request.ts'

/** Logins to the pages. */
export type GateLogin = {
  readonly sessions: () => Promise<Sessions>
  /** The names of issuers with a login page. */
  readonly providers: () => readonly string[]
  begin(provider: string, redirectUri: string): ReturnType<OidcLogin['begin']>
  finish(provider: string, current: URL, state: Readonly<Record<string, string>>): Promise<Outcome>
}

/** @param issuers the current issuers */
export function gateLogin(issuers: () => readonly Issuer[], sessions: () => Promise<Sessions>): GateLogin {
  let library: Promise<OidcLogin> | undefined
  const oidc = () =>
    (library ??= import('../credentials/oidc.ts').then(({ createOidcLogin }) =>
      createOidcLogin((file) => readFile(file, 'utf8')),
    ))
  const issuerNamed = (name: string): Issuer => {
    const found = issuers().find((issuer) => issuer.name === name && issuer.login)
    if (!found) throw new Error(`there is no login ${name}`)
    return found
  }
  return {
    sessions,
    providers: () => issuers().flatMap(({ name, login }) => (login ? [name] : [])),
    begin: async (provider, redirectUri) => (await oidc()).begin(issuerNamed(provider), redirectUri),
    finish: async (provider, ...come) => (await oidc()).finish(issuerNamed(provider), ...come),
  }
}

/** The holder of a request's session. Cookies are for pages; registry clients send none. */
export const sessionOf =
  (sessions: () => Promise<Sessions>) =>
  (request: HttpRequest): Promise<Identity | undefined> | undefined => {
    const { path } = request
    const cookie = path === '/v2' || path.startsWith('/v2/') ? undefined : cookieIn(request, cookies.session)
    return cookie === undefined
      ? undefined
      : sessions()
          .then((all) => all.find(cookie))
          .then((found) => found?.identity)
  }
