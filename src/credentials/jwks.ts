import { readFile, stat } from 'node:fs/promises'
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { NixeryError } from '../errors.ts'
import type { HttpClient } from '../net/http-client.ts'
import { isLoopback } from '../net/loopback.ts'
import type { Issuer } from './issuer.ts'

/** The public keys of an issuer. */
export type Keys = {
  /** Returns the known keys. Old keys are refreshed in the background; only the first call waits. */
  current(): Promise<JWTVerifyGetKey>
  /** Fetches the keys again because a token has an unknown key; undefined if that was tried recently. */
  newer(): Promise<JWTVerifyGetKey | undefined>
}

export type KeysOptions = {
  readonly client: Pick<HttpClient, 'send'>
  readonly warn: (line: string) => void
  readonly timing?: Partial<KeysTiming>
}

/** Milliseconds. */
export type KeysTiming = {
  /** The age at which keys are fetched again. */
  readonly fresh: number
  /** The minimum time between attempts, whether or not they succeed. */
  readonly pause: number
  /** The timeout of an attempt, and so the longest time that a request waits for keys. */
  readonly timeout: number
}

const defaultTiming: KeysTiming = { fresh: 600_000, pause: 10_000, timeout: 5_000 }
const largest = 256 * 1024
const mostKeys = 100

/**
 * Creates the key source of an issuer. The last keys stay in use while newer ones cannot be fetched.
 * @throws SOURCE_UNREACHABLE if there are none
 */
export function createKeys(issuer: Issuer, { client, warn, timing }: KeysOptions): Keys {
  const { fresh, pause, timeout } = { ...defaultTiming, ...timing }
  let keys: JWTVerifyGetKey | undefined
  let tried = -Infinity
  let loaded = -Infinity
  let failure: unknown
  let loading: Promise<void> | undefined

  const load = async () => {
    tried = performance.now()
    try {
      keys = await (isFile(issuer) ? readKeys(issuer.jwks) : fetchKeys(client, issuer, timeout))
      loaded = performance.now()
      failure = undefined
    } catch (error) {
      if (failure === undefined) {
        warn(`cannot fetch the keys of the issuer ${issuer.name}: ${reasonOf(error)}`)
      }
      failure = error
    }
  }
  /** Shared by concurrent callers. */
  const attempt = (): Promise<void> => (loading ??= load().finally(() => (loading = undefined)))
  const mayTry = () => performance.now() >= tried + pause

  return {
    async current() {
      const isOld = performance.now() >= loaded + (isFile(issuer) ? pause : fresh)
      if (isOld && mayTry()) {
        const attempted = attempt()
        if (!keys || isFile(issuer)) await attempted
      } else if (!keys) await loading
      if (keys) return keys
      throw new NixeryError('SOURCE_UNREACHABLE', `cannot fetch the keys of the issuer ${issuer.name}`, {
        cause: failure,
        hint: 'try again in a few seconds',
      })
    },
    async newer() {
      if (!loading && !mayTry()) return undefined
      await attempt()
      return keys
    },
  }
}

const isFile = (issuer: Issuer): issuer is Issuer & { readonly jwks: string } =>
  issuer.jwks !== undefined && !/^https?:/.test(issuer.jwks)

async function readKeys(file: string): Promise<JWTVerifyGetKey> {
  if ((await stat(file)).size > largest) throw new Error(`${file} is larger than ${largest} bytes`)
  return keySet(JSON.parse(await readFile(file, 'utf8')))
}

async function fetchKeys(
  client: Pick<HttpClient, 'send'>,
  { url, jwks }: Issuer,
  timeout: number,
): Promise<JWTVerifyGetKey> {
  const signal = AbortSignal.timeout(timeout)
  const get = async (address: string): Promise<unknown> => {
    const target = new URL(address)
    if (target.protocol !== 'https:' && !isLoopback(target.host)) throw new Error(`${address} is not https`)
    const { status, body } = await client.send({
      method: 'GET',
      url: target,
      limit: largest,
      timeout,
      signal,
    })
    if (status !== 200 || !body) throw new Error(`${address} responded with ${status}`)
    return JSON.parse(body.toString())
  }
  if (jwks !== undefined) return keySet(await get(jwks))
  const discovered = await get(`${url.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const address =
    discovered !== null && typeof discovered === 'object' && 'jwks_uri' in discovered
      ? discovered.jwks_uri
      : undefined
  if (typeof address !== 'string') throw new Error('its discovery document has no jwks_uri')
  return keySet(await get(address))
}

/** @throws if the text is not a JWK set (RFC 7517 §5) */
function keySet(value: unknown): JWTVerifyGetKey {
  const all =
    value !== null && typeof value === 'object' && 'keys' in value && Array.isArray(value.keys)
      ? (value.keys as JSONWebKeySet['keys'])
      : undefined
  if (!all) throw new Error('not a JWK set')
  return createLocalJWKSet({ keys: all.slice(0, mostKeys) })
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
