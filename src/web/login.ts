import { randomBytes } from 'node:crypto'
import { isRefusal, type Authenticate, type Outcome } from '../access/credentials.ts'
import type { Identity } from '../access/identity.ts'
import { hasCode, NixeryError } from '../errors.ts'
import type { RequestAddress } from '../http/address.ts'
import { cookieIn, cookies, setCookie } from '../http/cookies.ts'
import type { AuditListener } from '../http/audit.ts'
import { refused } from '../http/guard.ts'
import type { RequestQuotas } from '../http/quotas.ts'
import type { Reply } from '../http/reply.ts'
import type { HttpRequest } from '../http/request.ts'
import type { TableRoute } from '../http/route-table.ts'
import { checkToken, fieldsOf, redirect, type Show } from './forms.ts'
import { loginPage, logoutPage } from './login-page.ts'

/** Logins to the pages. */
export type LoginDeps = {
  /** Verifies a name with a password, or with an API key as the password. */
  readonly authenticate: Authenticate
  readonly addressOf?: RequestAddress | undefined
  readonly sessions: () => Promise<{
    begin(identity: Identity, seconds: number): Promise<string>
    find(cookie: string): Promise<{ readonly csrf: string } | undefined>
    end(cookie: string): Promise<void>
    seal(state: Readonly<Record<string, string>>): Promise<string>
    open(sealed: string): Promise<Readonly<Record<string, string>> | undefined>
  }>
  /** The names of the current OpenID providers. */
  readonly providers: () => readonly string[]
  readonly begin: (
    provider: string,
    redirectUri: string,
  ) => Promise<{ readonly address: string; readonly state: Readonly<Record<string, string>> }>
  readonly finish: (
    provider: string,
    current: URL,
    state: Readonly<Record<string, string>>,
  ) => Promise<Outcome>
  /** The public URL of this server, without a trailing slash. */
  readonly originOf: (request: HttpRequest) => string
  /** Seconds. */
  readonly sessionLifetime: number
  readonly loginLifetime: number
  readonly quotas?: RequestQuotas | undefined
  readonly audit?: AuditListener | undefined
}

const loginPaths = { login: '/login', logout: '/logout', callback: '/login/callback' } as const

/** The routes of login and logout, which change nothing but the client's cookie. */
export function createLogin(deps: LoginDeps, show: Show): (path: string) => TableRoute | undefined {
  /** The form, with a new token that is also in its cookie. */
  const form = (back: string, status = 200, problem?: string): Reply => {
    const csrf = randomBytes(24).toString('base64url')
    const page = loginPage({ csrf, back, providers: deps.providers(), problem })
    return show(page, status, setCookie(cookies.form, csrf, deps.loginLifetime))
  }

  /** Ends a login. The attempted identity is only for the audit log. */
  const end = async (
    request: HttpRequest,
    outcome: Outcome,
    back: string,
    mostSeconds = deps.sessionLifetime,
  ): Promise<Reply> => {
    if (isRefusal(outcome)) {
      deps.audit?.({ event: 'refused', request, error: refused(outcome.refused) })
      return form(back, 401, 'These credentials are not valid.')
    }
    request.identity = outcome
    deps.audit?.({ event: 'login', request })
    const seconds = Math.min(mostSeconds, deps.sessionLifetime)
    const cookie = await (await deps.sessions()).begin(outcome, seconds)
    return redirect(back, setCookie(cookies.session, cookie, seconds))
  }

  const login = async (request: HttpRequest): Promise<Reply> => {
    await deps.quotas?.request(request)
    const query = new URLSearchParams(request.query)
    if (request.method === 'GET' || request.method === 'HEAD') {
      const provider = query.get('provider')
      return provider === null ? form(backIn(query)) : begin(request, provider, backIn(query))
    }
    const fields = await fieldsOf(request)
    checkToken(fields, cookieIn(request, cookies.form))
    const [name = '', password = ''] = ['name', 'password'].map((field) => fields.get(field) ?? '')
    const outcome = await deps.authenticate({ kind: 'basic', name, password }, deps.addressOf?.(request))
    return end(request, outcome, backIn(fields), secondsLeft(outcome))
  }

  const begin = async (request: HttpRequest, provider: string, back: string): Promise<Reply> => {
    if (!deps.providers().includes(provider)) return form(back, 404, 'There is no such login.')
    const redirectUri = `${deps.originOf(request)}${loginPaths.callback}`
    const { address, state } = await deps.begin(provider, redirectUri)
    const sealed = await (await deps.sessions()).seal({ ...state, provider, back, redirectUri })
    return redirect(address, setCookie(cookies.login, sealed, deps.loginLifetime))
  }

  const callback = async (request: HttpRequest): Promise<Reply> => {
    await deps.quotas?.request(request)
    const sealed = cookieIn(request, cookies.login)
    const state = sealed === undefined ? undefined : await (await deps.sessions()).open(sealed)
    const { provider = '', back = '/', redirectUri = '' } = state ?? {}
    if (!state || !deps.providers().includes(provider)) {
      return form('/', 400, 'This login took too long, or was started in another browser. Try again.')
    }
    const current = new URL(`${redirectUri}?${request.query}`)
    return end(request, await deps.finish(provider, current, state), back)
  }

  const logout = async (request: HttpRequest): Promise<Reply> => {
    const cookie = cookieIn(request, cookies.session)
    const sessions = await deps.sessions()
    const session = cookie === undefined ? undefined : await sessions.find(cookie)
    if (cookie === undefined || !session) return redirect('/login', setCookie(cookies.session, '', 0))
    if (request.method !== 'POST') return show(logoutPage(session.csrf), 200)
    checkToken(await fieldsOf(request), session.csrf)
    await sessions.end(cookie)
    return redirect('/login', setCookie(cookies.session, '', 0))
  }

  const route = (
    methods: readonly string[],
    reply: (request: HttpRequest) => Promise<Reply>,
  ): TableRoute => ({
    action: 'pull',
    subject: 'public',
    reply(request) {
      if (methods.includes(request.method)) return reply(request)
      throw new NixeryError('UNSUPPORTED', `use ${methods.join(' or ')}`)
    },
  })
  const routes = new Map([
    [loginPaths.login, route(['GET', 'HEAD', 'POST'], login)],
    [loginPaths.callback, route(['GET'], callback)],
    [loginPaths.logout, route(['GET', 'HEAD', 'POST'], logout)],
  ] as [string, TableRoute][])
  return (path) => routes.get(path)
}

/** The remaining validity of a token that was used as the password; undefined for other credentials. */
function secondsLeft(outcome: Outcome): number | undefined {
  if (isRefusal(outcome) || outcome.how !== 'oidc') return undefined
  return Math.max(1, Math.floor(Number(outcome.claims['exp']) - Date.now() / 1000))
}

/** Redirects a browser that must log in to the login page; undefined for other clients and failures. */
export function loginFor(request: HttpRequest, error: unknown): Reply | undefined {
  if (!hasCode(error, 'UNAUTHENTICATED') || error.detail !== undefined) return undefined
  if (request.method !== 'GET' || request.header('accept')?.includes('text/html') !== true) return undefined
  return redirect(`${loginPaths.login}?back=${encodeURIComponent(request.path)}`)
}

/** Where to go after a login: to one of the pages, never to another site. */
const backIn = (fields: URLSearchParams): string => {
  const back = fields.get('back') ?? '/'
  return /^\/(?:admin|compose|builds\/[0-9a-f-]{36})?$/.test(back) ? back : '/'
}
