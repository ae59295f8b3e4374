import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { App } from './app.ts'
import { createConnections } from './connections.ts'
import { createInFlight } from './in-flight.ts'
import { answerAndClose, malformedError } from './malformed.ts'
import { createPace, sendingOf } from './pace.ts'
import type { TlsPair } from './tls.ts'

/** Limits for each client. Times are milliseconds, sizes bytes. */
export type ServerLimits = {
  /** The time limit from the start of a connection, or of a further request, to the end of its headers. */
  readonly headersTimeout: number
  /** The time limit to the end of its body. */
  readonly requestTimeout: number
  /** The interval for checking these two. */
  readonly checkInterval: number
  /** How long a response may make no progress because its reader does not read. */
  readonly idleTimeout: number
  /** Bytes per second that the reader of a response must read; 0 for no limit. */
  readonly minRate: number
  /** Milliseconds over which that is measured. */
  readonly rateWindow: number
  readonly maxConnections: number
  /** The maximum size of the URL and all headers. */
  readonly headerSize: number
  /** The maximum size of a request body, which is ignored: after a larger one, the connection is closed. */
  readonly bodySize: number
}

// The time until a response begins is not limited here: it includes waiting for a build.
const defaultLimits: ServerLimits = {
  headersTimeout: 15_000,
  requestTimeout: 60_000,
  checkInterval: 5_000,
  idleTimeout: 90_000,
  minRate: 1000,
  // A window of TCP opens in steps, of 64 KiB over the loopback.
  rateWindow: 60_000,
  maxConnections: 8192,
  headerSize: 32 * 1024,
  bodySize: 64 * 1024,
}

export type ServerOptions = {
  readonly host: string
  /** 0 for a free one. */
  readonly port: number
  /** Serves HTTPS. */
  readonly tls?: TlsPair | undefined
  readonly limits?: Partial<ServerLimits>
  /** The client at the other end of a connection, which gets a share of all connections; see `createConnections`. */
  readonly clientOf?: ((peer: string | undefined) => string | undefined) | undefined
}

/** The activity of a server. */
export type Traffic = {
  /** Open connections. */
  readonly connections: number
  /** Requests that are being handled. */
  readonly requests: number
  /** Since the start: input that was not HTTP, or not a complete request in time. */
  readonly malformed: number
  /** Since the start: responses aborted because their readers were too slow. */
  readonly slow: number
}

/** A listening server. */
export type Listening = {
  readonly port: number
  traffic(): Traffic
  /** Uses this certificate for new connections, if the server has TLS. */
  setTls(pair: TlsPair): void
  /**
   * Waits until all responses are sent, for some seconds at most, then closes everything. New requests are still
   * answered, so that load balancers see that this server is not ready, but connections are not kept alive.
   */
  close(graceSeconds: number): Promise<void>
}

/**
 * Serves over HTTP/1.1.
 * @param app handles each request; must not fail
 * @throws CONFIG_INVALID when it cannot listen on the address
 */
export async function listen(
  app: Pick<App, 'handle' | 'refuse'>,
  { host, port, tls, limits: given, clientOf }: ServerOptions,
): Promise<Listening> {
  const limits = { ...defaultLimits, ...given }
  const settings = {
    headersTimeout: limits.headersTimeout,
    requestTimeout: limits.requestTimeout,
    connectionsCheckingInterval: limits.checkInterval,
    keepAliveTimeout: 75_000,
    maxHeaderSize: limits.headerSize,
    requireHostHeader: false, // checked with everything else that Node's parser accepts
    // A client that vanished while it waits for a build is noticed within about forty seconds.
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  }
  // The validity of a client's certificate is checked per request, so that clients without one are served, too.
  const clients = tls?.ca && { requestCert: true, rejectUnauthorized: false }
  const secure =
    tls && createTlsServer({ ...settings, ...tls, ...clients, handshakeTimeout: limits.headersTimeout })
  const server: Server = secure ?? createServer(settings)
  server.maxConnections = limits.maxConnections

  const connections = createConnections(limits.maxConnections, clientOf)
  let malformed = 0
  let slow = 0
  let closing = false
  let onIdle = () => {}
  server.on('connection', (socket: Socket) => connections.add(socket))
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers
    if (closing || coding !== undefined || Number(length) > limits.bodySize) response.shouldKeepAlive = false
    void app.handle(request, response)
  }
  const inFlight = createInFlight(limits.headersTimeout, handle, () => {
    if (inFlight.isIdle()) onIdle()
  })
  server.on('request', (request, response) => inFlight.add(request, response))
  // Without this, Node would request the body, which is ignored.
  server.on('checkContinue', (request, response) => server.emit('request', request, response))
  // Other expectations are ignored: Node's own 417, which RFC 9110 §10.1.1 leaves to servers, would not be helpful.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('clientError', (error, socket) => {
    malformed += 1
    // A response to an earlier request is pending, and this one would be taken for it.
    if (inFlight.isBusy(socket) || !socket.writable) {
      socket.destroy()
      return
    }
    const { failure, status } = malformedError(error)
    answerAndClose(socket, app.refuse({ method: '', path: '' }, failure, status))
  })
  // Without this, Node would close the connection without a response.
  server.on('connect', ({ method = '', url = '' }, socket) => {
    if (inFlight.isBusy(socket)) socket.destroy()
    else {
      const failure = new NixeryError('UNSUPPORTED', 'this server is not a proxy')
      answerAndClose(socket, app.refuse({ method, path: url }, failure))
    }
  })

  // Node's socket timeout closes a connection without activity. It is set only when a response has begun, and Node
  // resets it for the next request.
  const pace = createPace(limits.minRate, limits.rateWindow)
  const watch = () => {
    const now = performance.now()
    for (const response of inFlight.responses) {
      const { headersSent, socket } = response
      if (!headersSent || !socket) continue
      if (!socket.timeout) socket.setTimeout(limits.idleTimeout)
      if (!pace.isTooSlow(response, sendingOf(socket), now)) continue
      slow += 1
      socket.destroy()
    }
  }
  const watching = setInterval(watch, Math.min(limits.idleTimeout, limits.rateWindow) / 6).unref()

  await begin(server, host, port)
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : port,
    traffic: () => ({ connections: connections.open, requests: inFlight.responses.size, malformed, slow }),
    setTls(pair) {
      secure?.setSecureContext(pair)
    },
    async close(graceSeconds) {
      closing = true
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve
      })
      for (const response of inFlight.responses) if (!response.headersSent) response.shouldKeepAlive = false
      if (!inFlight.isIdle())
        await Promise.race([idle, sleep(graceSeconds * 1000, undefined, { ref: false })])
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      server.closeAllConnections()
      clearInterval(watching)
      await closed
    },
  }
}

async function begin(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = systemErrorCode(cause) ?? 'unknown'
      reject(
        new NixeryError('CONFIG_INVALID', `cannot listen on ${host}, port ${port}: ${reason}`, {
          cause,
          hint: 'choose another with PORT and NIXERY_HOST',
        }),
      )
    })
    server.listen(port, host, resolve)
  })
}
