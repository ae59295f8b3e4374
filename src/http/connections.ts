import type { Socket } from 'node:net'

/** The open connections of a server, and how many of them each client has. */
export type Connections = {
  readonly open: number
  /**
   * Counts a new connection until it is closed. Closes it at once if its client has its share: a quarter of all, as soon
   * as half of all are open. So a single client cannot keep all others out.
   */
  add(socket: Socket): void
}

/**
 * @param most the maximum number of open connections
 * @param clientOf the client at the other end; undefined if it cannot be distinguished from others
 */
export function createConnections(
  most: number,
  clientOf: (peer: string | undefined) => string | undefined = () => undefined,
): Connections {
  const clients = new Map<string, number>()
  let open = 0
  return {
    get open() {
      return open
    },
    add(socket) {
      const client = clientOf(socket.remoteAddress)
      const has = client === undefined ? 0 : (clients.get(client) ?? 0)
      const isOverShare = open >= most / 2 && has >= most / 4
      open += 1
      if (client !== undefined) clients.set(client, has + 1)
      socket.once('close', () => {
        open -= 1
        if (client === undefined) return
        const left = (clients.get(client) ?? 1) - 1
        if (left > 0) clients.set(client, left)
        else clients.delete(client)
      })
      if (isOverShare) socket.destroy()
    },
  }
}
