import type { Configuration } from 'openid-client'
import { hasCode, NixeryError } from '../errors.ts'
import { isLoopback } from '../net/loopback.ts'
import type { Outcome } from '../access/credentials.ts'
import { identityOf, type Issuer } from './issuer.ts'

/** Logins with an OpenID provider: the authorization code flow with PKCE (RFC 7636, OpenID Connect Core §3.1). */
export type OidcLogin = {
  /** The URL for the browser, and the state needed when it returns. */
  begin(
    issuer: Issuer,
    redirectUri: string,
  ): Promise<{ readonly address: string; readonly state: Readonly<Record<string, string>> }>
  /**
   * Identifies the user who returned.
   * @param current the URL that the browser returned to, with its query
   */
  finish(issuer: Issuer, current: URL, state: Readonly<Record<string, string>>): Promise<Outcome>
}

// Seconds for each request to the provider.
const timeout = 10

/** @param readSecret reads the file of a client's secret */
export function createOidcLogin(readSecret: (file: string) => Promise<string>): OidcLogin {
  const configurations = new WeakMap<Issuer, Promise<Configuration>>()
  const library = () =>
    import('openid-client').catch((cause: unknown) => {
      throw new NixeryError('SETUP_FAILED', 'the package openid-client is not installed', {
        cause,
        hint: 'it is needed for logins with an OpenID provider',
      })
    })

  const discover = async (issuer: Issuer): Promise<Configuration> => {
    const { login, url } = issuer
    if (!login) throw new Error(`${issuer.name} has no login`)
    const client = await library()
    const secret = login.secret === undefined ? undefined : (await readSecret(login.secret)).trim()
    const server = new URL(url)
    const isLocal = server.protocol === 'http:' && isLoopback(server.host)
    return client.discovery(
      server,
      login.client,
      undefined,
      secret === undefined ? client.None() : client.ClientSecretPost(secret),
      {
        timeout,
        // Also verify the signature of the ID token.
        execute: [client.enableNonRepudiationChecks, ...(isLocal ? [client.allowInsecureRequests] : [])],
      },
    )
  }
  const configurationOf = async (issuer: Issuer): Promise<Configuration> => {
    const known = configurations.get(issuer) ?? discover(issuer)
    configurations.set(issuer, known)
    try {
      return await known
    } catch (cause) {
      configurations.delete(issuer)
      if (hasCode(cause, 'SETUP_FAILED')) throw cause
      throw new NixeryError('SOURCE_UNREACHABLE', `the login page of ${issuer.name} cannot be reached`, {
        cause,
        hint: 'try again in a few seconds',
      })
    }
  }

  return {
    async begin(issuer, redirectUri) {
      const configuration = await configurationOf(issuer)
      const client = await library()
      const verifier = client.randomPKCECodeVerifier()
      const state = { state: client.randomState(), nonce: client.randomNonce(), verifier }
      const address = client.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: issuer.login?.scope ?? 'openid',
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state: state.state,
        nonce: state.nonce,
      })
      return { address: address.href, state }
    },
    async finish(issuer, current, { state = '', nonce = '', verifier = '' }) {
      const configuration = await configurationOf(issuer)
      const client = await library()
      try {
        const tokens = await client.authorizationCodeGrant(configuration, current, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        })
        const identity = identityOf(issuer, tokens.claims() ?? {})
        return identity ?? { refused: `a login of ${issuer.name} has no subject` }
      } catch (error) {
        return {
          refused: `a login of ${issuer.name}: ${error instanceof Error ? error.message : String(error)}`,
        }
      }
    },
  }
}
