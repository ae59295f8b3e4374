import { Agent as PlainAgent, type AgentOptions } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { getCACertificates } from 'node:tls'
import { isLoopback } from './loopback.ts'

/** Connections that are reused for later requests. */
export type Agents = {
  for(url: URL): PlainAgent
  close(): void
}

/**
 * @param verify whether certificates must be valid
 * @param environment the proxy variables: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, also in lower case
 */
export function createAgents(verify: boolean, environment: NodeJS.ProcessEnv): Agents {
  const plain = pairOf((settings) => new PlainAgent(settings), environment)
  // Created on first use, because reading the system's certificates takes milliseconds.
  let secure: ReturnType<typeof pairOf> | undefined
  return {
    for(url) {
      if (url.protocol !== 'https:') return plain.for(url)
      secure ??= pairOf((settings) => new SecureAgent({ ...settings, ...trust(verify) }), environment)
      return secure.for(url)
    },
    close() {
      plain.close()
      secure?.close()
    },
  }
}

/** An agent that uses the proxy, and one for this machine, which does not. */
function pairOf(make: (settings: AgentOptions) => PlainAgent, proxyEnv: NodeJS.ProcessEnv) {
  const direct = make({ keepAlive: true })
  const proxied = make({ keepAlive: true, proxyEnv })
  return {
    for: (url: URL) => (isLoopback(url.host) ? direct : proxied),
    close() {
      direct.destroy()
      proxied.destroy()
    },
  }
}

/** Companies add their own authorities to the system's list; Node by default reads only its own. */
const trust = (verify: boolean) =>
  verify
    ? { ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])] }
    : { rejectUnauthorized: false }
