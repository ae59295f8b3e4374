import type { Identity } from '../access/identity.ts'

/** The accepted signature algorithms. All use public keys: with a shared secret, a verifier could also sign. */
export const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

/** An issuer whose tokens are accepted: an OpenID provider, a CI service, or a Kubernetes cluster. */
export type Issuer = {
  /** Its name in rules, logs and identities. */
  readonly name: string
  /** The claim `iss`. */
  readonly url: string
  /** The URL or the file of its public keys; by default the URL in its discovery document. */
  readonly jwks?: string | undefined
  /** The required value of the claim `aud`. It is mandatory, otherwise tokens for other services would be accepted. */
  readonly audience: readonly string[]
  readonly algorithms: readonly (typeof signatureAlgorithms)[number][]
  /** The claim with the holder's groups: a name, or names separated by dots; none by default. */
  readonly groups?: string | undefined
  /** How people log in to the pages with this issuer. */
  readonly login?: Login | undefined
}

/** This server as a client of an OpenID provider. */
export type Login = {
  readonly client: string
  /** The file of the client's secret; a public client has none. */
  readonly secret?: string | undefined
  readonly scope?: string | undefined
}

/** The claims of a verified token. */
export type Claims = Readonly<Record<string, unknown>>

// Providers may list every group of a company.
const mostGroups = 200
const longestName = 256

/**
 * Who a token belongs to. The name is prefixed with the issuer's, so that no issuer can name a user of another issuer
 * or of the password file. Undefined if the token does not name its holder.
 */
export function identityOf({ name, groups }: Issuer, claims: Claims): Identity | undefined {
  const { sub } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > longestName) return undefined
  return {
    name: `${name}:${sub}`,
    groups: groups === undefined ? [] : groupsIn(claimAt(claims, groups)),
    claims,
    how: 'oidc',
    issuer: name,
  }
}

/** Looks up a claim by its name, or a nested one by names separated by dots, such as `realm_access.roles`. */
function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined
    value = (value as Claims)[name]
  }
  return value
}

function groupsIn(value: unknown): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value]
  return all
    .filter((one): one is string => typeof one === 'string' && one !== '' && one.length <= longestName)
    .slice(0, mostGroups)
}
