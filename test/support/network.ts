import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { freePort } from './ports.ts'

/** How a network, or the server behind it, fails. */
export type NetworkFailure =
  /** No data passes, without an error. Data sent during the failure arrives after `restore`. */
  | 'hangs'
  /** Breaks connections and refuses new ones. */
  | 'refuses'
  /** Breaks connections and responds to each request with HTTP 503. */
  | 'is unavailable'

/** A network between this process and a local server. */
export type TestNetwork = {
  /** The address of the server through it. */
  readonly url: string
  /** The number of connections made through it. */
  readonly count: number
  /** Stops all data on existing connections, without an error; new connections work. */
  loseConnections(): void
  /** Fails until `restore` is called. */
  fail(failure: NetworkFailure): Promise<void>
  restore(): Promise<void>
  close(): Promise<void>
}

type Pair = { readonly near: Socket; readonly far: Socket }

/** @param url the address of a server on this machine: of a database, or `http://…` */
export async function openNetwork(url: string): Promise<TestNetwork> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  const pairs = new Set<Pair>()
  const lost = new WeakSet<Pair>()
  const waiting = new Set<Socket>()
  let failure: NetworkFailure | undefined
  let count = 0

  const track = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  }
  const pass = ({ near, far }: Pair) => {
    near.pipe(far)
    far.pipe(near)
  }
  const hold = ({ near, far }: Pair) => {
    for (const socket of [near.unpipe(far), far.unpipe(near)]) socket.pause()
  }
  /** Closes a pair because one end closed, unless its data is held. */
  const part = (pair: Pair) => {
    if (failure === 'hangs' || lost.has(pair)) return
    pairs.delete(pair)
    pair.near.destroy()
    pair.far.destroy()
  }
  const join = (near: Socket) => {
    if (near.destroyed) return
    const pair = { near, far: track(connect(Number(target.port), target.hostname)) }
    pairs.add(pair)
    for (const socket of [pair.near, pair.far]) socket.on('close', () => part(pair))
    pass(pair)
  }
  const unavailable = createHttpServer((_, response) => {
    response.writeHead(503, { Connection: 'close' }).end('<Error><Code>ServiceUnavailable</Code></Error>')
  })
  const server = createServer({ pauseOnConnect: true }, (near) => {
    count += 1
    track(near)
    if (failure === 'hangs') waiting.add(near)
    else if (failure === 'is unavailable') {
      unavailable.emit('connection', near)
      near.resume()
    } else join(near)
  })
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
    pairs.clear()
    waiting.clear()
  }
  const port = await freePort() // of its own also while it refuses connections
  await listen(port)
  const through = new URL(url)
  through.port = String(port)

  return {
    url: through.href,
    get count() {
      return count
    },
    loseConnections() {
      for (const pair of pairs) {
        hold(pair)
        lost.add(pair)
        for (const socket of [pair.near, pair.far]) socket.resume() // reads and discards
      }
      pairs.clear()
    },
    async fail(how) {
      failure = how
      if (how === 'hangs') return pairs.forEach(hold)
      breakAll()
      if (how !== 'refuses') return
      server.close()
      await once(server, 'close')
    },
    async restore() {
      const before = failure
      failure = undefined
      if (before === 'refuses') return listen(port)
      if (before === 'is unavailable') return breakAll()
      for (const pair of pairs) {
        if (pair.near.destroyed || pair.far.destroyed) part(pair)
        else pass(pair)
      }
      for (const near of waiting) join(near)
      waiting.clear()
    },
    async close() {
      breakAll()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}
