import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Requests of one connection that are answered at the same time. Clients of registries send one. */
export const maxInFlight = 16
/**
 * Requests of all connections that were read but are not being answered yet. A connection that would add one more is
 * closed.
 */
export const maxHeldBack = 4096

/** The requests that are being answered, connection by connection. */
export type InFlight = {
  /** Answers a request now, or once enough earlier ones of its connection are answered. */
  add(request: IncomingMessage, response: ServerResponse): void
  /** Whether an earlier request on this connection has no complete answer yet. */
  isBusy(socket: object): boolean
  /** Those that are being answered. */
  readonly responses: ReadonlySet<ServerResponse>
}

type Connection = {
  readonly begun: Set<ServerResponse>
  readonly held: [IncomingMessage, ServerResponse][]
  /** No further request of it is answered. */
  refusing: boolean
  /** Closes it while it is not read. */
  timer: NodeJS.Timeout | undefined
}

/**
 * Bounds pipelining (RFC 9112 §9.3.2). Node parses everything that arrives and starts every request at once: up to
 * 64 KiB of them in one read, and more with the next. Here a connection with more than `maxInFlight` requests is not
 * read until the surplus is being answered, so TCP slows its client down. Whether the client of such a connection is
 * still there cannot be seen, so it is closed when no answer is completed for a while.
 * @param stallTimeout milliseconds that a connection may stay unread without an answer being completed
 * @param begin answers a request
 * @param ended hears of each response that is complete or has lost its client
 */
export function createInFlight(
  stallTimeout: number,
  begin: (request: IncomingMessage, response: ServerResponse) => void,
  ended: () => void,
): InFlight {
  const connections = new WeakMap<object, Connection>()
  const responses = new Set<ServerResponse>()
  let heldBack = 0

  const connectionOf = (socket: Socket): Connection => {
    const known = connections.get(socket)
    if (known) return known
    const connection: Connection = { begun: new Set(), held: [], refusing: false, timer: undefined }
    connections.set(socket, connection)
    // Node resumes a socket for reasons of its own, such as that an answer has been sent.
    socket.on('resume', () => {
      if (connection.timer) socket.pause()
    })
    socket.once('close', () => {
      clearTimeout(connection.timer)
      heldBack -= connection.held.length
      connection.held.length = 0
      for (const response of connection.begun) {
        // Node tells only the response whose turn it is that its client has left.
        if (response.socket) continue
        response.destroy()
        response.emit('close')
      }
    })
    return connection
  }

  const start = (connection: Connection, request: IncomingMessage, response: ServerResponse) => {
    connection.begun.add(response)
    responses.add(response)
    response.once('close', () => {
      connection.begun.delete(response)
      responses.delete(response)
      // Not at once: known images are answered without waiting for anything, so others would have no turn meanwhile.
      if (connection.timer) setImmediate(proceed, connection, request.socket)
      ended()
    })
    begin(request, response)
  }

  const pause = (connection: Connection, socket: Socket) => {
    socket.pause()
    clearTimeout(connection.timer)
    connection.timer = setTimeout(() => socket.destroy(), stallTimeout).unref()
  }

  const proceed = (connection: Connection, socket: Socket) => {
    while (connection.begun.size < maxInFlight) {
      const next = connection.held.shift()
      if (!next) break
      heldBack -= 1
      if (connection.refusing && connection.held.length === 0) next[1].shouldKeepAlive = false
      start(connection, ...next)
    }
    if (!connection.timer || socket.destroyed) return
    if (connection.held.length > 0 || (connection.refusing && connection.begun.size > 0)) {
      pause(connection, socket)
    } else if (connection.refusing) {
      socket.destroySoon()
    } else {
      clearTimeout(connection.timer)
      connection.timer = undefined
      socket.resume()
    }
  }

  return {
    responses,
    isBusy: (socket) => (connections.get(socket)?.begun.size ?? 0) > 0,
    add(request, response) {
      const { socket } = request
      const connection = connectionOf(socket)
      if (connection.refusing) return
      if (connection.begun.size < maxInFlight && connection.held.length === 0) {
        start(connection, request, response)
        return
      }
      if (!connection.timer) pause(connection, socket)
      if (heldBack < maxHeldBack) {
        heldBack += 1
        connection.held.push([request, response])
        return
      }
      connection.refusing = true
      const last = connection.held.at(-1)?.[1] ?? [...connection.begun].at(-1)
      if (last && !last.headersSent) last.shouldKeepAlive = false
    },
  }
}
