import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An OpenID provider: npm's `oidc-provider`, which has passed the conformance tests of the OpenID Foundation. */
export type OidcProvider = {
  /** The claim `iss` of its tokens. */
  readonly url: string
  /** Registers the client's redirect URI; until then the provider refuses logins. */
  start(redirectUri: string): Promise<void>
  /** A token by the client credentials grant (RFC 6749 §4.4): a JWT for the audience `nixery`. */
  tokenOfRobot(): Promise<string>
  stop(): void
}

export const robot = { id: 'robot', secret: 'robots-secret' }
export const pages = { id: 'nixery', secret: 'secret-of-pages' }

/** The used part of the package, which has no types. */
type Package = {
  readonly default: new (url: string, configuration: object) => { callback(): RequestListener }
}

/** Listens at once. Every user can log in with any password, and is in the group `dev`. */
export async function openOidcProvider(): Promise<OidcProvider> {
  let answer: RequestListener = (_, response) => void response.writeHead(503).end()
  const server = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    async start(redirectUri) {
      const name = 'oidc-provider'
      const { default: Provider } = (await import(name)) as Package
      answer = new Provider(url, configurationFor(redirectUri)).callback()
    },
    async tokenOfRobot() {
      const response = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`${robot.id}:${robot.secret}`)}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: 'urn:nixery' }),
      })
      const body = (await response.json()) as { readonly access_token?: string }
      if (body.access_token === undefined) throw new Error(JSON.stringify(body))
      return body.access_token
    },
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const configurationFor = (redirectUri: string) => ({
  clients: [
    {
      client_id: pages.id,
      client_secret: pages.secret,
      token_endpoint_auth_method: 'client_secret_post',
      redirect_uris: [redirectUri],
    },
    {
      client_id: robot.id,
      client_secret: robot.secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  claims: { openid: ['sub'], groups: ['groups'] },
  // Puts the claims of a scope into the ID token, as other providers do.
  conformIdTokenClaims: false,
  findAccount: (_: unknown, id: string) => ({
    accountId: id,
    claims: () => ({ sub: id, groups: ['dev'] }),
  }),
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: '', audience: 'nixery', accessTokenFormat: 'jwt' }),
    },
  },
})
