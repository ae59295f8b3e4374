import { folder, httpUrl, oneOf } from './values.ts'

/** Authentication and access. */
export const accessSettings = {
  NIXERY_AUTH: oneOf('none', 'basic', 'token')
    .default('none')
    .describe(
      'authentication: with `none`, everyone may do everything; with `basic`, all clients need a name and a password; with `token`, clients get tokens, including anonymous clients; see access.md',
    ),
  NIXERY_HTPASSWD: folder
    .optional()
    .describe(
      'file of users and their bcrypt hashes (`htpasswd -B`), for `NIXERY_AUTH=basic` and `token`; reloaded when it changes',
    ),
  NIXERY_POLICY: folder
    .optional()
    .describe(
      'TOML file with rules, quotas and the issuers of accepted JWTs; without it, all authenticated clients may pull, build and list; reloaded when it changes; see access.md',
    ),
  NIXERY_PUBLIC_URL: httpUrl
    .optional()
    .describe(
      'URL at which clients reach the server, such as `https://nixery.example.org`, for tokens and for logins with an OpenID provider; by default taken from the Host header of each request',
    ),
  NIXERY_TOKEN_KEY: folder
    .optional()
    .describe(
      'file with the secret that signs tokens and sessions of pages, at least 32 bytes; servers that share it accept each other’s. If not set, the server creates one in NIXERY_DATA',
    ),
  NIXERY_INSECURE_AUTH: oneOf('on', 'off')
    .default('off')
    .describe(
      'whether passwords may be sent without encryption over a network: allows `NIXERY_AUTH` without TLS on other interfaces than the loopback, even if `NIXERY_TRUSTED_PROXIES` is not set',
    ),
}

// Not `NIXERY_HTPASSWD: …`: the redaction would take the text after such a word for a password.

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Finds contradictions between the access settings.
 * @param host the address to listen on
 */
export function accessProblems(set: Environment, host: string): string[] {
  const { NIXERY_AUTH: mode = 'none', NIXERY_HTPASSWD: htpasswd } = set
  const problems: string[] = []
  if (mode === 'none' && htpasswd !== undefined)
    problems.push('NIXERY_HTPASSWD requires NIXERY_AUTH set to basic or token')
  for (const name of ['NIXERY_TOKEN_KEY', 'NIXERY_PUBLIC_URL'])
    if (mode === 'none' && set[name] !== undefined) problems.push(`${name} has no effect without NIXERY_AUTH`)
  if (mode === 'none' && set['NIXERY_TLS_CLIENT_CA'] !== undefined)
    problems.push('NIXERY_TLS_CLIENT_CA has no effect without NIXERY_AUTH')
  if (set['NIXERY_TLS_CLIENT_CA'] !== undefined && set['NIXERY_TLS_CERT'] === undefined)
    problems.push('NIXERY_TLS_CLIENT_CA needs NIXERY_TLS_CERT and NIXERY_TLS_KEY')
  if (mode === 'none' && set['NIXERY_POLICY'] !== undefined) {
    problems.push('NIXERY_POLICY: has no effect while everyone is anonymous; set NIXERY_AUTH')
  }
  const hasNoOther = ['NIXERY_POLICY', 'NIXERY_TLS_CLIENT_CA'].every((name) => set[name] === undefined)
  if (mode === 'basic' && htpasswd === undefined && hasNoOther)
    problems.push(
      'NIXERY_HTPASSWD is needed for NIXERY_AUTH set to basic, or NIXERY_POLICY with issuers, or NIXERY_TLS_CLIENT_CA; if all clients use API keys, NIXERY_HTPASSWD can be an empty file',
    )
  if (mode !== 'none' && sendsInTheClear(set, host)) {
    problems.push(
      `with NIXERY_AUTH, passwords would cross the network to ${host} without encryption: set NIXERY_TLS_CERT and NIXERY_TLS_KEY, or NIXERY_TRUSTED_PROXIES to the proxy that terminates TLS, or NIXERY_HOST=127.0.0.1; NIXERY_INSECURE_AUTH=on allows it anyway`,
    )
  }
  return problems
}

/** Trusted proxies count only if the operator has set them: the default trusts all private addresses. */
const sendsInTheClear = (set: Environment, host: string): boolean =>
  set['NIXERY_INSECURE_AUTH'] !== 'on' &&
  set['NIXERY_TLS_CERT'] === undefined &&
  (set['NIXERY_TRUSTED_PROXIES'] ?? 'none') === 'none' &&
  !/^(?:localhost|127(?:\.\d+){3}|\[?::1\]?)$/i.test(host)
