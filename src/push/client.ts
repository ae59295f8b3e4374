import { maxRedirects, redirectOf } from '../net/redirect.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import type { Credentials } from './credentials.ts'
import { RegistryError } from './errors.ts'
import { refused } from './refusal.ts'
import { apiHost } from './reference.ts'
import { isLoopback } from '../net/loopback.ts'
import { basic, requestToken, type Token } from './tokens.ts'
import { isCertificateTrouble, type Answer, type Request, type Transport } from './transport.ts'

/** A registry that has been found, and is spoken to with what it demands. */
export type RegistryClient = {
  /** Its name, as the user wrote it. */
  readonly host: string
  /** Whether there are credentials for it. */
  readonly loggedIn: boolean
  /** The address below which everything lies: `https://host/v2/`. */
  readonly base: URL
  /**
   * Sends a request, follows redirects, and answers demands for credentials, which no other host ever gets.
   * @param scopes what a token must allow, such as `repository:team/tools:pull,push`
   */
  send(request: Request, scopes: readonly string[]): Promise<Answer & { readonly url: URL }>
}

export type ConnectOptions = {
  readonly transport: Transport
  readonly credentials: Credentials | undefined
  /** Plain HTTP will do, if nobody answers over TLS. For this machine it always does. */
  readonly insecure: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Finds a registry and what it demands (distribution spec, "Determining Support").
 * @throws REGISTRY_UNAVAILABLE, REGISTRY_REFUSED, CANCELLED
 */
export async function connect(host: string, options: ConnectOptions): Promise<RegistryClient> {
  const { base, answer } = await ping(host, options)
  if (answer.status >= 200 && answer.status < 300) return createClient(host, base, undefined, options)
  if (answer.status !== 401) throw refused({ host, loggedIn: false }, 'to say that it is a registry', answer)
  const challenges = challengesIn(answer)
  const challenge =
    challenges.find(({ scheme }) => scheme === 'bearer') ??
    challenges.find(({ scheme }) => scheme === 'basic')
  if (challenge) return createClient(host, base, challenge, options)
  throw new RegistryError('REGISTRY_REFUSED', `${host} wants credentials of a kind that is not known here`)
}

const challengesIn = ({ headers }: Answer): Challenge[] => parseChallenges(headers['www-authenticate'] ?? '')

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
      // It is there: its certificate is told of, and not evaded by doing without.
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
  // Refused, however long they were said to be good for.
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
    // Of those who find out together, the first asks.
    if (tokens.get(key) === latest) {
      tokens.set(key, requestToken(transport, base, challenge, scopes, credentials, signal))
    }
    return `Bearer ${(await tokens.get(key))?.token}`
  }

  const sendWith = async (request: Request, scopes: readonly string[]) => {
    let url = request.url
    for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
      if (base.protocol === 'https:' && url.protocol !== 'https:') throw unencrypted(host)
      // Whoever may write a Location may be anybody: credentials are the registry's alone.
      const secret = url.origin === base.origin ? await authorization(scopes, request.signal) : undefined
      const headers = { ...request.headers, ...(secret !== undefined && { Authorization: secret }) }
      const answer = await transport.send({ ...request, url, headers })
      const next = nextUrl(host, request.method, answer, url)
      if (!next) return { ...answer, url, secret }
      url = next
    }
    throw new RegistryError('REGISTRY_REFUSED', `${host} redirects in a circle`)
  }

  // Registries may name their scopes otherwise than the specification's examples do.
  const widened = new Map<string, readonly string[]>()

  return {
    host,
    base,
    loggedIn: credentials !== undefined,
    async send(request, scopes) {
      const key = scopes.join(' ')
      const asked = widened.get(key) ?? scopes
      const answer = await sendWith(request, asked)
      if (answer.status !== 401 || answer.url.origin !== base.origin) return answer
      // A token that has run out, or a demand that the first answer did not make.
      const demand = challengesIn(answer).find(({ scheme }) => scheme === (challenge?.scheme ?? scheme))
      if (!demand || (demand.scheme === 'basic' && challenge)) return answer
      challenge = demand
      const wider = [...new Set([...asked, ...(demand.parameters.get('scope')?.split(' ') ?? [])])]
      if (answer.secret !== undefined) stale.add(answer.secret)
      widened.set(key, wider)
      return sendWith(request, wider)
    },
  }
}

/** @throws REGISTRY_REFUSED for an address that is not one of HTTP */
function nextUrl(host: string, method: Request['method'], answer: Answer, from: URL): URL | undefined {
  const redirect = redirectOf(method, answer, from)
  if (redirect && !redirect.isHttp) {
    throw new RegistryError('REGISTRY_REFUSED', `${host} redirects to an address that is not http or https`)
  }
  return redirect?.url
}

const unencrypted = (host: string) =>
  new RegistryError('REGISTRY_REFUSED', `${host} sends on to an address that is not encrypted`, {
    hint: 'behind a proxy the registry must know that it is reached over https (X-Forwarded-Proto, or its http.host)',
  })
