import { join } from 'node:path'
import type { Identity } from '../access/identity.ts'
import type { Authenticator } from '../access/credentials.ts'
import type { ApiKeys } from '../catalog/catalog.ts'
import type { Logouts } from '../catalog/logouts.ts'
import type { Config } from '../config.ts'
import { reasonAgainst } from '../credentials/api-key.ts'
import type { Users } from '../credentials/htpasswd.ts'
import type { Issuer } from '../credentials/issuer.ts'
import type { OwnTokens } from '../credentials/own-tokens.ts'
import type { Sessions } from '../credentials/sessions.ts'
import { keepTokenKey, readTokenKey } from '../credentials/token-key.ts'
import { loginLifetime, sessionLifetime } from '../http/cookies.ts'
import { createHttpClient } from '../net/http-client.ts'

/**
 * Verifies tokens of the issuers of the policy. The library for tokens is loaded with the first issuer.
 * @param current the issuers of now
 */
export function foreignTokens(
  current: () => readonly Issuer[],
  warn: (line: string) => void,
): { readonly authenticator: Authenticator; close(): void } {
  const client = createHttpClient()
  let previous: readonly Issuer[] = []
  let issuers: readonly Issuer[] = []
  // Keys are cached by issuer object: an issuer that is unchanged when the file changes keeps its keys.
  const lasting = (): readonly Issuer[] => {
    const now = current()
    if (now === previous) return issuers
    previous = now
    const known = new Map(issuers.map((issuer) => [JSON.stringify(issuer), issuer]))
    return (issuers = now.map((issuer) => known.get(JSON.stringify(issuer)) ?? issuer))
  }
  const load = async () => {
    const { jwtAuthenticator } = await import('../credentials/jwt.ts')
    return (loaded ??= jwtAuthenticator({ issuers: lasting, client, warn }))
  }
  let loaded: Authenticator | undefined
  return {
    authenticator(credentials) {
      if (loaded) return loaded(credentials)
      return current().length === 0 ? undefined : load().then((authenticate) => authenticate(credentials))
    },
    close: () => client.close(),
  }
}

/** The values that this server signs. */
export type Signed = { readonly tokens: OwnTokens; readonly sessions: Sessions }

/** Tokens that this server issues, and sessions of its pages. Loads the token library on first use. */
export async function openSigned(
  { NIXERY_TOKEN_KEY: keyFile, NIXERY_DATA: data }: Pick<Config, 'NIXERY_TOKEN_KEY' | 'NIXERY_DATA'>,
  users: () => Users | undefined,
  { apiKeys, logouts }: { readonly apiKeys: Pick<ApiKeys, 'find'>; readonly logouts: Logouts },
  issuers: () => readonly Issuer[],
): Promise<Signed> {
  const key =
    keyFile === undefined ? await keepTokenKey(join(data, 'token.key')) : await readTokenKey(keyFile)
  const { createOwnTokens } = await import('../credentials/own-tokens.ts')
  const { createSigner } = await import('../credentials/signed.ts')
  const { createSessions } = await import('../credentials/sessions.ts')
  const signer = createSigner(key, Date.now)
  const secretOf = (name: string) => users()?.get(name)?.hash
  const isCurrent = ({ how, name, claims, issuer }: Identity): boolean | Promise<boolean> => {
    if (how === 'password') return users()?.has(name) === true
    if (how === 'oidc') return issuers().some((one) => one.name === issuer && isIssuer(one, claims['iss']))
    if (how !== 'key') return true
    const { apiKey } = claims
    return isUsable(apiKeys, typeof apiKey === 'string' ? apiKey : '')
  }
  const tokens = createOwnTokens({
    signer,
    isCurrent,
    secretOf,
    userOf: (name) => users()?.get(name)?.identity,
  })
  return {
    tokens,
    sessions: createSessions({ signer, logouts, isCurrent, secretOf, sessionLifetime, loginLifetime }),
  }
}

/** Whether a claim `iss` matches an issuer, whose discovery document may contain its URL with a trailing slash. */
const isIssuer = ({ url }: Issuer, iss: unknown): boolean =>
  typeof iss === 'string' && iss.replace(/\/$/, '') === url.replace(/\/$/, '')

async function isUsable(apiKeys: Pick<ApiKeys, 'find'>, id: string): Promise<boolean> {
  const key = await apiKeys.find(id)
  return key !== undefined && reasonAgainst(key, Date.now() / 1000) === undefined
}
