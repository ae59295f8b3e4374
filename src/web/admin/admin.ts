import type { ShownKey } from '../../credentials/new-key.ts'
import { isNixeryError, NixeryError } from '../../errors.ts'
import type { AuditListener } from '../../http/audit.ts'
import { cookieIn, cookies } from '../../http/cookies.ts'
import type { Reply } from '../../http/reply.ts'
import type { HttpRequest } from '../../http/request.ts'
import type { RouteTable, TableRoute } from '../../http/route-table.ts'
import { checkToken, fieldsOf, redirect, type Show } from '../forms.ts'
import type { Frame } from '../layout.ts'
import type { LoginDeps } from '../login.ts'
import { noTyped, type KeyForms } from './keys.ts'
import { adminPage } from './page.ts'
import type { Read } from './parts.ts'
import type { AdminSource } from './source.ts'

export type AdminDeps = {
  readonly source: AdminSource
  /** Whether a client may see the page, and change keys. */
  readonly may: (request: HttpRequest, action: 'admin' | 'keys') => boolean
  readonly sessions: LoginDeps['sessions']
  readonly audit?: AuditListener | undefined
  /** Called with the reason if a part of the page cannot be shown. */
  readonly warn: (failure: unknown) => void
  readonly now?: () => number
}

const paths = { page: '/admin', create: '/admin/keys', revoke: '/admin/keys/revoke' } as const

/**
 * The admin page, and the forms for API keys on it. The forms contain a token of the viewer's session: browsers also
 * send passwords and certificates with forms of other sites, so credentials without a session cannot change anything.
 */
export function createAdmin(deps: AdminDeps, frame: Frame, show: Show): RouteTable {
  const { source, may, audit, warn, now = Date.now } = deps

  const read = async <T>(work: () => Promise<T>): Promise<Read<T>> => {
    try {
      return { value: await work() }
    } catch (error) {
      warn(error)
      return { failure: isNixeryError(error) ? error.code : 'UNKNOWN' }
    }
  }
  const sessionOf = async (request: HttpRequest) => {
    const cookie = cookieIn(request, cookies.session)
    return cookie === undefined ? undefined : (await deps.sessions()).find(cookie)
  }
  const page = async (
    request: HttpRequest,
    status = 200,
    answer?: Partial<Pick<KeyForms, 'made' | 'problem' | 'typed'>>,
  ): Promise<Reply> => {
    const { fleet } = source
    const [session, storage, uses, keys, overview] = await Promise.all([
      sessionOf(request),
      read(() => source.storage()),
      read(() => source.quotas.uses()),
      read(() => source.keys.list()),
      fleet && read(fleet),
    ])
    const mayChange = may(request, 'keys')
    const forms = {
      csrf: mayChange ? session?.csrf : undefined,
      needsSession: mayChange,
      made: undefined,
      problem: undefined,
      typed: noTyped,
      ...answer,
      isAnswer: answer !== undefined,
    }
    const { cleanup } = source
    const quotas = { rules: source.quotas.rules(), uses }
    const shown = {
      storage,
      cleanup,
      preview: source.preview(),
      quotas,
      keys,
      forms,
      fleet: overview,
      now: now(),
    }
    return show(adminPage(frame, shown), status, {}, request)
  }
  const fields = async (request: HttpRequest) => {
    const sent = await fieldsOf(request)
    checkToken(sent, (await sessionOf(request))?.csrf)
    return sent
  }
  const recordKey = (
    request: HttpRequest,
    what: 'created' | 'revoked',
    { id, name, groups, expires }: ShownKey,
  ) => audit?.({ event: 'key', request, what, key: id, user: name, groups, expires })

  const create = async (request: HttpRequest): Promise<Reply> => {
    const sent = await fields(request)
    const field = (name: string) => sent.get(name)?.trim() ?? ''
    const typed = { name: field('name'), groups: field('groups'), expires: field('expires') }
    const made = await source.keys.create(typed)
    if ('problem' in made) return page(request, 400, { problem: made.problem, typed })
    recordKey(request, 'created', made.made)
    return page(request, 200, { made })
  }
  const revoke = async (request: HttpRequest): Promise<Reply> => {
    const revoked = await source.keys.revoke((await fields(request)).get('id') ?? '')
    if (!revoked) throw new NixeryError('REQUEST_INVALID', 'there is no such key')
    recordKey(request, 'revoked', revoked)
    return redirect(`${paths.page}#keys`)
  }
  const route = (
    action: 'admin' | 'keys',
    methods: readonly string[],
    reply: (request: HttpRequest) => Promise<Reply>,
  ): TableRoute => ({
    action,
    subject: 'server',
    reply(request) {
      if (methods.includes(request.method)) return reply(request)
      throw new NixeryError('UNSUPPORTED', `use ${methods.join(' or ')}`)
    },
  })
  const routes = new Map<string, TableRoute>([
    [paths.page, route('admin', ['GET', 'HEAD'], (request) => page(request))],
    [paths.create, route('keys', ['POST'], create)],
    [paths.revoke, route('keys', ['POST'], revoke)],
  ])
  return (path) => routes.get(path)
}
