import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Requests of one connection that are handled at the same time. Clients of registries send one. */
export const maxInFlight = 16
/** Bytes of responses that wait for the client of one connection, above which no further request of it is started. */
const maxUnsent = 256 * 1024
/** Requests of all connections that were read but not started. A connection that would add one more is closed. */
export const maxHeldBack = 4096

/** The requests that are being handled, by connection. */
export type InFlight = {
  /** Handles a request now, or in a later turn if earlier ones of its connection are unanswered. */
  add(request: IncomingMessage, response: ServerResponse): void
  /** Whether an earlier request on this connection has no complete response yet. */
  isBusy(socket: object): boolean
  /** Whether no request is being handled or held. */
  isIdle(): boolean
  /** Those that are being handled. */
  readonly responses: ReadonlySet<ServerResponse>
}

type Connection = {
  readonly started: Set<ServerResponse>
  readonly held: [IncomingMessage, ServerResponse][]
  /** Further requests of this connection are ignored. */
  refusing: boolean
  /** Closes the connection while it is not read. */
  timer: NodeJS.Timeout | undefined
  /** Whether it gets a turn in the next iteration of the event loop. */
  scheduled: boolean
}

/**
 * Bounds pipelining (RFC 9112 §9.3.2). Node parses everything that arrives and starts every request at once: up to
 * 64 KiB of them in one read, and more with the next. Here a request that arrives behind an unanswered one is held, and
 * its connection is not read, so TCP slows the client down. A connection starts one held request for each iteration of
 * the event loop, so that a flood of requests with immediate responses delays other clients by one request, at most
 * `maxInFlight` at the same time, and none while much waits for a client that does not read. Whether the client of an
 * unread connection is still there cannot be seen, so it is closed when no response is completed for a while.
 * @param stallTimeout milliseconds that a connection may stay unread without a response being completed
 * @param handle handles a request
 * @param ended called for each response that is complete or has lost its client
 */
export function createInFlight(
  stallTimeout: number,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  ended: () => void,
): InFlight {
  const connections = new WeakMap<object, Connection>()
  const responses = new Set<ServerResponse>()
  let heldBack = 0

  const connectionOf = (socket: Socket): Connection => {
    const known = connections.get(socket)
    if (known) return known
    const connection: Connection = {
      started: new Set(),
      held: [],
      refusing: false,
      timer: undefined,
      scheduled: false,
    }
    connections.set(socket, connection)
    // Node resumes a socket for reasons of its own, such as that a response has been sent.
    socket.on('resume', () => {
      if (connection.timer) socket.pause()
    })
    socket.once('close', () => {
      clearTimeout(connection.timer)
      heldBack -= connection.held.length
      connection.held.length = 0
      for (const response of connection.started) {
        // Node emits this only for the response whose turn it is.
        if (response.socket) continue
        response.destroy()
        response.emit('close')
      }
      ended()
    })
    return connection
  }

  const start = (connection: Connection, request: IncomingMessage, response: ServerResponse) => {
    connection.started.add(response)
    responses.add(response)
    response.on('close', () => {
      connection.started.delete(response)
      responses.delete(response)
      if (connection.timer) {
        connection.timer.refresh()
        schedule(connection, request.socket)
      }
      ended()
    })
    handle(request, response)
  }

  /** Whether much waits for the client. Streams wait for it themselves, and hold one block each. */
  const isReadSlowly = ({ started }: Connection): boolean => {
    let unsent = 0
    for (const { writableEnded, writableLength } of started) if (writableEnded) unsent += writableLength
    return unsent >= maxUnsent
  }
  /** Whether another request of a connection may be started. */
  const hasRoom = (connection: Connection): boolean =>
    connection.started.size < maxInFlight && !isReadSlowly(connection)

  const pause = (connection: Connection, socket: Socket) => {
    socket.pause()
    const stalled = () => {
      // The limits of responses decide how slowly a client may read.
      if (isReadSlowly(connection)) connection.timer?.refresh()
      else socket.destroy()
    }
    connection.timer ??= setTimeout(stalled, stallTimeout).unref()
  }

  const schedule = (connection: Connection, socket: Socket) => {
    if (connection.scheduled) return
    connection.scheduled = true
    setImmediate(takeTurn, connection, socket)
  }

  const takeTurn = (connection: Connection, socket: Socket) => {
    connection.scheduled = false
    const { held, started } = connection
    const next = hasRoom(connection) ? held.shift() : undefined
    if (next) {
      heldBack -= 1
      if (connection.refusing && held.length === 0) next[1].shouldKeepAlive = false
      start(connection, ...next)
    }
    if (!connection.timer || socket.destroyed) return
    if (held.length > 0) {
      if (hasRoom(connection)) schedule(connection, socket)
    } else if (!connection.refusing) {
      clearTimeout(connection.timer)
      connection.timer = undefined
      socket.resume()
    } else if (started.size === 0) {
      socket.destroySoon()
    }
  }

  return {
    responses,
    isIdle: () => responses.size === 0 && heldBack === 0,
    isBusy(socket) {
      const connection = connections.get(socket)
      return connection !== undefined && connection.started.size + connection.held.length > 0
    },
    add(request, response) {
      const { socket } = request
      const connection = connectionOf(socket)
      if (connection.refusing) return
      if (connection.started.size === 0 && connection.held.length === 0) {
        start(connection, request, response)
        return
      }
      pause(connection, socket)
      if (heldBack < maxHeldBack) {
        heldBack += 1
        connection.held.push([request, response])
        if (hasRoom(connection)) schedule(connection, socket)
        return
      }
      connection.refusing = true
      const last = connection.held.at(-1)?.[1] ?? [...connection.started].at(-1)
      if (last && !last.headersSent) last.shouldKeepAlive = false
    },
  }
}
