import type { OpenResponse } from '../net/http-client.ts'
import { maxRedirects, redirectOf } from '../net/redirect.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import type { Credentials } from './credentials.ts'
import { RegistryError } from './errors.ts'
import { refused } from './refusal.ts'
import { apiHost } from './reference.ts'
import { isLoopback } from '../net/loopback.ts'
import { basic, requestToken, type Token } from './tokens.ts'
import {
  isCertificateTrouble,
  type Answer,
  type OpenRequest,
  type Request,
  type Transport,
} from './transport.ts'

/** A client for one registry, which authenticates its requests as the registry requires. */
export type RegistryClient = {
  /** The host, as the user wrote it. */
  readonly host: string
  /** Whether there are credentials for the registry. */
  readonly loggedIn: boolean
  /** The base URL of the API: `https://host/v2/`. */
  readonly base: URL
  /**
   * Sends a request, follows redirects, and answers authentication challenges. Credentials are never sent to another host.
   * @param scopes the scopes that a token must have, such as `repository:team/tools:pull,push`
   */
  send(request: Request, scopes: readonly string[]): Promise<Answer & { readonly url: URL }>
  /** Sends a GET request. The caller must read the whole response or call `discard`. */
  open(request: OpenRequest, scopes: readonly string[]): Promise<OpenResponse & { readonly url: URL }>
}

/** A response whose body has not been read. */
type Head = Pick<Answer, 'status' | 'headers'>

export type ConnectOptions = {
  readonly transport: Transport
  readonly credentials: Credentials | undefined
  /** Allows plain HTTP if the host does not answer over TLS. Always allowed for this machine. */
  readonly insecure: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Connects to a registry and finds out how it authenticates (distribution spec, "Determining Support").
 * @throws REGISTRY_UNAVAILABLE, REGISTRY_REFUSED, CANCELLED
 */
export async function connect(host: string, options: ConnectOptions): Promise<RegistryClient> {
  const { base, answer } = await ping(host, options)
  if (answer.status >= 200 && answer.status < 300) return createClient(host, base, undefined, options)
  if (answer.status !== 401)
    throw refused({ host, loggedIn: false }, 'the registry API version check', answer)
  const challenges = challengesIn(answer)
  const challenge =
    challenges.find(({ scheme }) => scheme === 'bearer') ??
    challenges.find(({ scheme }) => scheme === 'basic')
  if (challenge) return createClient(host, base, challenge, options)
  throw new RegistryError('REGISTRY_REFUSED', `${host} requires an unsupported authentication scheme`)
}

const challengesIn = ({ headers }: Head): Challenge[] => parseChallenges(headers['www-authenticate'] ?? '')

async function ping(host: string, { transport, insecure, signal }: ConnectOptions) {
  const mayBePlain = insecure || isLoopback(host)
  let failure: unknown
  for (const protocol of mayBePlain ? ['https', 'http'] : ['https']) {
    const base = new URL(`${protocol}://${apiHost(host)}/v2/`)
    try {
      return { base, answer: await transport.send({ method: 'GET', url: base, signal }) }
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      failure = error
      // The host answered over TLS: report its untrusted certificate rather than fall back to plain HTTP.
      if (isCertificateTrouble(error)) break
    }
  }
  throw failure
}

function createClient(
  host: string,
  base: URL,
  first: Challenge | undefined,
  { transport, credentials }: ConnectOptions,
): RegistryClient {
  let challenge = first
  const tokens = new Map<string, Promise<Token>>()
  // Tokens that the registry has rejected, although they have not expired.
  const stale = new Set<string>()

  const authorization = async (scopes: readonly string[], signal: AbortSignal | undefined) => {
    if (!challenge) return undefined
    if (challenge.scheme === 'basic') return credentials?.kind === 'password' ? basic(credentials) : undefined
    if (credentials?.kind === 'bearer') return `Bearer ${credentials.token}`
    const key = scopes.join(' ')
    const latest = tokens.get(key)
    const known = await latest?.catch(() => undefined)
    if (known && known.until > performance.now() && !stale.has(`Bearer ${known.token}`)) {
      return `Bearer ${known.token}`
    }
    // The first of several concurrent requests gets the new token for all.
    if (tokens.get(key) === latest) {
      tokens.set(key, requestToken(transport, base, challenge, scopes, credentials, signal))
    }
    return `Bearer ${(await tokens.get(key))?.token}`
  }

  const sendWith = async <T extends Head>(request: Request, scopes: readonly string[], way: Way<T>) => {
    let url = request.url
    for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
      if (base.protocol === 'https:' && url.protocol !== 'https:') throw unencrypted(host)
      // A redirect may lead to any host: send credentials to the registry only.
      const secret = url.origin === base.origin ? await authorization(scopes, request.signal) : undefined
      const headers = { ...request.headers, ...(secret !== undefined && { Authorization: secret }) }
      const answer = await way.send({ ...request, url, headers })
      const next = nextUrl(host, request.method, answer, url)
      if (!next) return { ...answer, url, secret }
      await way.discard(answer)
      url = next
    }
    throw new RegistryError('REGISTRY_REFUSED', `${host} redirects too many times`)
  }

  // Registries may name scopes differently from the examples in the specification.
  const widened = new Map<string, readonly string[]>()

  const authenticated = async <T extends Head>(
    request: Request,
    scopes: readonly string[],
    way: Way<T>,
  ): Promise<T & { readonly url: URL }> => {
    const key = scopes.join(' ')
    const requested = widened.get(key) ?? scopes
    const answer = await sendWith(request, requested, way)
    if (answer.status !== 401 || answer.url.origin !== base.origin) return answer
    // The token has expired, or the registry challenges this request but did not challenge the first.
    const demand = challengesIn(answer).find(({ scheme }) => scheme === (challenge?.scheme ?? scheme))
    if (!demand || (demand.scheme === 'basic' && challenge)) return answer
    challenge = demand
    const wider = [...new Set([...requested, ...(demand.parameters.get('scope')?.split(' ') ?? [])])]
    if (answer.secret !== undefined) stale.add(answer.secret)
    widened.set(key, wider)
    await way.discard(answer)
    return sendWith(request, wider, way)
  }

  const whole: Way<Answer> = { send: (request) => transport.send(request), discard: async () => {} }
  const opened: Way<OpenResponse> = {
    send: (request) => transport.open(request),
    discard: (answer) => answer.discard(),
  }
  return {
    host,
    base,
    loggedIn: credentials !== undefined,
    send: (request, scopes) => authenticated(request, scopes, whole),
    open: (request, scopes) => authenticated({ method: 'GET', ...request }, scopes, opened),
  }
}

/** How to send a request, and how to dispose of a response that is not the last. */
type Way<T extends Head> = {
  send(request: Request): Promise<T>
  discard(answer: T): Promise<void>
}

/** @throws REGISTRY_REFUSED for a redirect to a URL that is neither http nor https */
function nextUrl(host: string, method: Request['method'], answer: Head, from: URL): URL | undefined {
  const redirect = redirectOf(method, answer, from)
  if (redirect && !redirect.isHttp) {
    throw new RegistryError('REGISTRY_REFUSED', `${host} redirects to a URL that is not http or https`)
  }
  return redirect?.url
}

const unencrypted = (host: string) =>
  new RegistryError('REGISTRY_REFUSED', `${host} redirects to an unencrypted URL`, {
    hint: 'if the registry is behind a proxy, configure it for https (X-Forwarded-Proto, or its setting http.host)',
  })
