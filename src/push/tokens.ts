import { z } from 'zod'
import type { Challenge } from './challenge.ts'
import type { Credentials } from './credentials.ts'
import { reasonIn, RegistryError } from './errors.ts'
import { isLoopback } from '../net/loopback.ts'
import type { Answer, Request, Transport } from './transport.ts'

/** A token, and the time (ms, `performance.now()`) after which it should no longer be used. */
export type Token = { readonly token: string; readonly until: number }

const granted = z
  .object({
    token: z.string().optional(),
    access_token: z.string().optional(),
    expires_in: z.number().optional(),
  })
  .transform((answer) => ({
    token: answer.token ?? answer.access_token ?? '',
    expires: answer.expires_in ?? 60,
  }))
  .refine(({ token }) => token !== '' && /^[\x21-\x7e]+$/.test(token))

/**
 * Requests a token from a registry's token server (distribution: "Token Authentication Specification", and its OAuth2
 * variant for identity tokens).
 * @param registry the registry that sent the challenge
 * @param scopes such as `repository:team/tools:pull,push`
 */
export async function requestToken(
  transport: Pick<Transport, 'send'>,
  registry: URL,
  { parameters }: Challenge,
  scopes: readonly string[],
  credentials: Credentials | undefined,
  signal: AbortSignal | undefined,
): Promise<Token> {
  const realm = checkedRealm(registry, parameters.get('realm'))
  const service = parameters.get('service')
  const requested = performance.now()
  const answer = await transport.send({
    ...(credentials?.kind === 'identity'
      ? refresh(realm, service, scopes, credentials.token)
      : inquiry(realm, service, scopes, credentials)),
    signal,
  })
  if (answer.status !== 200) throw refusal(realm, answer, credentials)
  const parsed = granted.safeParse(jsonOf(answer.text))
  if (!parsed.success) {
    throw new RegistryError('REGISTRY_REFUSED', `the token server ${realm.host} returned no token`)
  }
  // Use 90 % of the lifetime, to allow for latency.
  return { token: parsed.data.token, until: requested + Math.max(parsed.data.expires, 10) * 900 }
}

/**
 * The URL of the token server. It must not use plain HTTP if the registry uses HTTPS: credentials are sent to it. Another
 * machine's registry may not name a port of this one, either, where any user can listen.
 */
function checkedRealm(registry: URL, text: string | undefined): URL {
  const realm = URL.parse(text ?? '', registry.href)
  if (!realm || !/^https?:$/.test(realm.protocol)) {
    throw new RegistryError('REGISTRY_REFUSED', `${registry.host} sent no valid URL of a token server`)
  }
  if (registry.protocol === 'https:' && realm.protocol === 'http:' && !bothLocal(registry, realm)) {
    throw new RegistryError(
      'REGISTRY_REFUSED',
      `${registry.host} requests credentials over an unencrypted connection`,
    )
  }
  return realm
}

const bothLocal = (registry: URL, realm: URL): boolean => isLoopback(registry.host) && isLoopback(realm.host)

function inquiry(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: Credentials | undefined,
): Request {
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  if (credentials?.kind !== 'password') return { method: 'GET', url }
  url.searchParams.set('account', credentials.username)
  return { method: 'GET', url, headers: { Authorization: basic(credentials) } }
}

function refresh(realm: URL, service: string | undefined, scopes: readonly string[], token: string): Request {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'nixery',
    scope: scopes.join(' '),
    refresh_token: token,
    ...(service !== undefined && { service }),
  })
  const bytes = Buffer.from(form.toString())
  return {
    method: 'POST',
    url: realm,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: { size: bytes.length, open: () => once(bytes) },
  }
}

/** A request body from memory. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** RFC 7617, with UTF-8. */
export const basic = ({ username, password }: { username: string; password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

function refusal(realm: URL, { status, text }: Answer, credentials: Credentials | undefined): RegistryError {
  const reason = reasonIn(text)
  const wasRefused = status === 400 || status === 401 || status === 403
  return new RegistryError(
    wasRefused ? 'REGISTRY_REFUSED' : 'REGISTRY_UNAVAILABLE',
    `the token server ${realm.host} responded with ${status}${reason === '' ? '' : `: ${reason}`}`,
    {
      passing: status === 429 || status >= 500,
      ...(wasRefused && { hint: credentials ? 'log in again' : 'log in with podman login or docker login' }),
    },
  )
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // refused by the schema
  }
}
