import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A network between this process and a PostgreSQL server. */
export type TestNetwork = {
  /** The address of the database through it. */
  readonly url: string
  /** How many connections were made through it. */
  readonly count: number
  /** From now on nothing passes over the connections that exist, and nothing says so; new ones work. */
  loseConnections(): void
  close(): Promise<void>
}

/** @param url the address of a database on this machine */
export async function openNetwork(url: string): Promise<TestNetwork> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  let pairs: (readonly [Socket, Socket])[] = []
  let count = 0
  const server = createServer((near) => {
    count += 1
    const far = connect(Number(target.port), target.hostname)
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    near.pipe(far)
    far.pipe(near)
    pairs.push([near, far])
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const through = new URL(url)
  through.port = String(port)
  return {
    url: through.href,
    get count() {
      return count
    },
    loseConnections() {
      for (const [near, far] of pairs) {
        near.unpipe(far)
        far.unpipe(near)
        for (const socket of [near, far]) socket.resume() // it is read, and dropped
      }
      pairs = []
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
