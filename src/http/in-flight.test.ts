import assert from 'node:assert/strict'
import { request, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline as pipeStream } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, it } from 'node:test'
import { text } from 'node:stream/consumers'
import { maxHeldBack, maxInFlight } from './in-flight.ts'
import { listen, type Listening, type ServerLimits } from './server.ts'
import { refuseRequest as refuse } from './testing.ts'
import { until } from '../../test/support/until.ts'

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => void

async function serve(handle: Handler, limits: Partial<ServerLimits> = {}): Promise<Listening> {
  const server = await listen({ handle, refuse }, { host: '127.0.0.1', port: 0, limits })
  undo.push(() => server.close(0))
  return server
}

/** Sends pipelined requests, and counts the responses. */
function pipeline({ port }: Listening, count: number, path = (index: number) => `/${index}`) {
  const socket = connect(port, '127.0.0.1')
  undo.push(() => socket.destroy())
  socket.on('error', () => {})
  const heard = { bodies: [] as string[], text: '' }
  socket.on('data', (chunk: Buffer) => {
    heard.text += chunk.toString('latin1')
    const parts = heard.text.split('HTTP/1.1 200 OK\r\n')
    heard.text = parts.pop() ?? ''
    for (const part of parts) if (part !== '') heard.bodies.push(part.slice(part.indexOf('\r\n\r\n') + 4))
  })
  const requests = Array.from(
    { length: count },
    (_, index) => `GET ${path(index)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  )
  socket.write(requests.join(''))
  return { socket, heard }
}

const get = ({ port }: Listening, path: string) =>
  new Promise<string>((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', path, agent: false }, (answer) => resolve(text(answer)))
    asked.on('error', reject).end()
  })

describe('pipelined requests', () => {
  it('are not started while a client does not read the responses to earlier ones', async () => {
    const body = Buffer.alloc(8e6)
    let started = 0
    const server = await serve((_, outgoing) => {
      started += 1
      outgoing.end(body)
    })
    const { socket } = pipeline(server, maxInFlight)
    socket.pause()
    await until(() => started > 0, 'the first request')
    // Requests of other connections give the held ones their turns.
    for (let n = 0; n < 20; n++) assert.equal((await get(server, '/')).length, body.length)
    assert.equal(started - 20, 1)
    socket.resume()
    await until(() => started - 20 === maxInFlight, 'all requests')
  })

  it('do not end a download that is read, or a large response that is read slowly', async () => {
    const block = Buffer.alloc(256 * 1024)
    let following = 0
    const server = await serve(
      (incoming, outgoing) => {
        if (incoming.url === '/1') {
          following += 1
          outgoing.end('second')
        } else if (incoming.headers['x-stream'] === undefined) outgoing.end(Buffer.alloc(8e6))
        else void pipeStream(Readable.from(Array.from({ length: 40 }, () => block)), outgoing)
      },
      { headersTimeout: 50, idleTimeout: 60_000 },
    )
    for (const header of ['', 'X-Stream: 1\r\n']) {
      const socket = connect(server.port, '127.0.0.1')
      undo.push(() => socket.destroy())
      socket.write(`GET /0 HTTP/1.1\r\nHost: a\r\n${header}\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n`)
      let received = ''
      let unread = 20
      for await (const chunk of socket) {
        received = (received + String(chunk)).slice(-100)
        // For longer than the limit of a connection that is not read.
        if (unread > 0) await setTimeout(10)
        unread -= 1
        if (received.includes('second')) break
      }
      assert.match(received, /second/)
    }
    assert.equal(following, 2)
  })

  it('all get responses in order, sixteen at a time', async () => {
    const running: (() => void)[] = []
    let most = 0
    const server = await serve((incoming, outgoing) => {
      running.push(() => outgoing.end(incoming.url))
      most = Math.max(most, running.length)
      if (running.length < maxInFlight && incoming.url !== '/again') return
      setImmediate(() => {
        for (const end of running.splice(0)) end()
      })
    })
    const { heard, socket } = pipeline(server, 100 * maxInFlight)
    await until(() => heard.bodies.length >= 100 * maxInFlight - 1)
    assert.equal(most, maxInFlight)
    assert.deepEqual(
      heard.bodies.slice(0, 100 * maxInFlight - 1),
      Array.from({ length: 100 * maxInFlight - 1 }, (_, index) => `/${index}`),
    )
    socket.write('GET /again HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2))
    await until(() => heard.bodies.includes('/again'))
  })

  it('do not block other clients, even with immediate responses', async () => {
    const order: string[] = []
    let other: Socket | undefined
    const server = await serve((incoming, outgoing) => {
      order.push(incoming.url ?? '')
      // While the flood is being answered, another client sends a request over an open connection.
      if (order.length === 100) other?.write('GET /other HTTP/1.1\r\nHost: a\r\n\r\n')
      outgoing.end('x'.repeat(5000))
    })
    other = pipeline(server, 1, () => '/first').socket
    await until(() => order.length === 1)
    pipeline(server, 20_000, () => '/flood')
    await until(() => order.includes('/other'))
    const between = order.slice(100, order.indexOf('/other'))
    assert.ok(between.length <= 50, `${between.length} requests of the flood were answered first`)
  })

  it('are not read while sixteen wait for a build, and other clients are served', async () => {
    const waiting: ServerResponse[] = []
    const server = await serve((incoming, outgoing) => {
      if (incoming.url === '/other') outgoing.end('hello')
      else waiting.push(outgoing)
    })
    const { socket } = pipeline(server, 60_000, () => '/slow')
    await until(() => waiting.length === maxInFlight)
    for (let times = 0; times < 5; times += 1) assert.equal(await get(server, '/other'), 'hello')
    const before = socket.bytesWritten - socket.writableLength
    const memory = process.memoryUsage().heapUsed
    for (let times = 0; times < 20; times += 1) assert.equal(await get(server, '/other'), 'hello')
    assert.equal(waiting.length, maxInFlight)
    assert.equal(socket.bytesWritten - socket.writableLength, before)
    assert.ok(process.memoryUsage().heapUsed < memory + 20_000_000)
    assert.equal(server.traffic().requests, maxInFlight)
  })

  it('end together when their client disconnects, also those whose turn has not come', async () => {
    const left = new Set<ServerResponse>()
    const server = await serve((_, outgoing) => {
      outgoing.once('close', () => left.add(outgoing))
    })
    const { socket } = pipeline(server, 3)
    await until(() => server.traffic().requests === 3)
    socket.destroy()
    await until(() => left.size === 3)
    assert.deepEqual(server.traffic(), { ...server.traffic(), connections: 0, requests: 0 })
  })

  it('close their connection if too many of them are held back', async () => {
    const waiting: ServerResponse[] = []
    const server = await serve((incoming, outgoing) => {
      if (incoming.url === '/other') outgoing.end('hello')
      else waiting.push(outgoing)
    })
    const connections: { socket: Socket; heard: { bodies: string[] } }[] = []
    // Each connection holds back the requests of one read, about two thousand.
    const each = 64 * 1024
    for (let sent = 0; sent <= 4 * maxHeldBack; sent += each / 40) {
      connections.push(pipeline(server, 2000, () => '/slow'))
    }
    let before: number
    do {
      before = waiting.length
      for (let turns = 0; turns < 20; turns += 1) await get(server, '/other')
    } while (waiting.length > before)
    assert.ok(waiting.length <= maxInFlight * connections.length)
    for (const response of waiting) response.end('done')
    await until(() => connections.some(({ socket }) => socket.closed))
    assert.equal(await get(server, '/other'), 'hello')
  })

  it('close their connection if no response is completed, because a disconnect would not be noticed', async () => {
    const server = await serve(() => {}, { headersTimeout: 200 })
    pipeline(server, 3).socket.unref()
    pipeline(server, 1000).socket.destroySoon()
    await until(() => server.traffic().requests === maxInFlight + 3)
    await until(() => server.traffic().requests === 3)
  })
})
