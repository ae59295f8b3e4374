import {
  Agent as PlainAgent,
  request as plainRequest,
  type AgentOptions,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { getCACertificates } from 'node:tls'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { RegistryError } from './errors.ts'
import { isLoopback } from './reference.ts'

/** Bytes that can be sent more than once: after a redirect, or once a token was renewed. */
export type Body = { readonly size: number; open(): AsyncIterable<Uint8Array> }

export type Request = {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Body | undefined
  readonly signal?: AbortSignal | undefined
}

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string }

/** Sends requests and reads answers, which are small; follows nothing and adds no credentials. */
export type Transport = { send(request: Request): Promise<Answer>; close(): void }

// A registry may hash gigabytes before it answers a PUT, without a sign of life.
const idleTimeout = 300_000
const connectTimeout = 30_000
const longestAnswer = 4 * 1024 * 1024

/**
 * Node's own client and not `fetch`: that cannot be told to trust one registry's certificate without trusting
 * everybody's, knows neither the system's certificates nor proxies, and sends streams without a length.
 * @param verify whether certificates must be valid
 */
export function createTransport({ verify }: { verify: boolean }): Transport {
  const plain = agents((settings) => new PlainAgent(settings))
  const trust = verify ? { ca: authorities() } : { rejectUnauthorized: false }
  const secure = agents((settings) => new SecureAgent({ ...settings, ...trust }))

  return {
    async send(request) {
      const { method, url, body, signal } = request
      const isSecure = url.protocol === 'https:'
      const headers = {
        'User-Agent': 'nixery',
        ...request.headers,
        'Content-Length': String(body?.size ?? 0),
      }
      const start = isSecure ? secureRequest : plainRequest
      const outgoing = start(url, {
        method,
        headers: method === 'GET' || method === 'HEAD' ? without(headers, 'Content-Length') : headers,
        agent: (isSecure ? secure : plain).for(url),
        timeout: idleTimeout,
        ...(signal && { signal }),
      })
      outgoing.once('timeout', () => outgoing.destroy(timedOut()))
      outgoing.once('socket', (socket) => {
        if (!socket.connecting) return
        const late = setTimeout(() => outgoing.destroy(timedOut()), connectTimeout)
        socket.once('connect', () => clearTimeout(late)).once('close', () => clearTimeout(late))
      })
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        // It may fail more than once; the first time counts.
        outgoing.once('response', resolve).on('error', reject)
      })
      // What breaks while it is read is told as it is, and not as the broken connection that follows.
      let broken: unknown
      async function* content(open: Body['open']) {
        try {
          yield* open()
        } catch (error) {
          broken = error
          throw error
        }
      }
      const sent = body
        ? pipeline(Readable.from(content(() => body.open())), outgoing)
        : Promise.resolve(outgoing.end())
      // An answer may come before all was sent, a refusal does: then what breaks the sending is of no interest.
      sent.catch(() => {})
      try {
        const incoming = await answered
        const text = await readText(incoming)
        if (incoming.statusCode !== undefined && incoming.statusCode < 300) await sent
        else if (!outgoing.writableFinished) outgoing.destroy()
        return { status: incoming.statusCode ?? 0, headers: incoming.headers, text }
      } catch (error) {
        throw failure(url, broken ?? error)
      }
    },

    close() {
      plain.close()
      secure.close()
    },
  }
}

/** Connections that are kept, by way of the proxy that the environment names; to this machine there is none. */
function agents<T extends PlainAgent>(make: (settings: AgentOptions) => T) {
  const direct = make({ keepAlive: true })
  const proxied = make({ keepAlive: true, proxyEnv: process.env })
  return {
    for: (url: URL): T => (isLoopback(url.host) ? direct : proxied),
    close() {
      direct.destroy()
      proxied.destroy()
    },
  }
}

/** Companies' own authorities are in the system's list, and Node by itself looks only into its own. */
const authorities = (): string[] => [
  ...new Set([...getCACertificates('default'), ...getCACertificates('system')]),
]

const timedOut = () => Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })

const without = (headers: Readonly<Record<string, string>>, name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name))

async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > longestAnswer) throw Object.assign(new Error('endless answer'), { code: 'EMSGSIZE' })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Whether a registry was reached, but its certificate is not trusted. */
export const isCertificateTrouble = (error: unknown): boolean =>
  error instanceof RegistryError &&
  /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(systemErrorCode(error.cause) ?? '')

/** The host alone is told: an address may hold a signature. */
function failure(url: URL, cause: unknown): Error {
  if (cause instanceof NixeryError) return cause
  if (cause instanceof Error && cause.name === 'AbortError') {
    return new NixeryError('CANCELLED', 'interrupted', { cause })
  }
  const code = systemErrorCode(cause)
  if (code === undefined) return cause instanceof Error ? cause : new Error(String(cause))
  const isSecurity = /CERT|SELF_SIGNED|UNABLE_TO_|SSL|EPROTO/.test(code)
  return new RegistryError('REGISTRY_UNAVAILABLE', `${url.host} cannot be reached: ${code}`, {
    cause,
    detail: { reason: code },
    answered: false,
    passing: !isSecurity && code !== 'ENOTFOUND',
    ...(isSecurity && { hint: 'to do without a trusted certificate, or without encryption: --insecure' }),
  })
}
