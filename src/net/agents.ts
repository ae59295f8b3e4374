import { Agent as PlainAgent, type AgentOptions } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import type { Socket } from 'node:net'
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

/** An agent that uses the proxy, if there is one, and one for this machine, which does not. */
function pairOf(make: (settings: AgentOptions) => PlainAgent, proxyEnv: NodeJS.ProcessEnv) {
  const direct = make({ keepAlive: true, ...readingIntoOneBuffer })
  const hasProxy = proxyVariables.some((name) => (proxyEnv[name] ?? '') !== '')
  const proxied = hasProxy ? make({ keepAlive: true, proxyEnv }) : direct
  return {
    for: (url: URL) => (isLoopback(url.host) ? direct : proxied),
    close() {
      direct.destroy()
      proxied.destroy()
    },
  }
}

const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']

/**
 * Makes all connections of an agent read into one buffer, which is free again after each read, because Node's parser of
 * HTTP copies what it passes on. By default every read allocates 64 KiB, and what the parser has copied is garbage: for a
 * download of 190 MB that was 6 % of the CPU time of the whole pull, most of it in the garbage collector.
 */
const readingIntoOneBuffer = {
  onread: {
    buffer: Buffer.allocUnsafeSlow(256 * 1024),
    callback(this: Socket, count: number, buffer: Uint8Array): boolean {
      this.emit('data', Buffer.from(buffer.buffer, buffer.byteOffset, count))
      return true
    },
  },
}

/** Companies add their own authorities to the system's list; Node by default reads only its own. */
const trust = (verify: boolean) =>
  verify
    ? { ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])] }
    : { rejectUnauthorized: false }
