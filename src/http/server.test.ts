import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import { listen, type Listening, type ServerLimits } from './server.ts'
import { until } from '../../test/support/until.ts'
import { refuseRequest as refuse } from './testing.ts'

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => void

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

async function serve(handle: Handler, limits: Partial<ServerLimits> = {}): Promise<Listening> {
  const server = await listen({ handle, refuse }, { host: '127.0.0.1', port: 0, limits })
  undo.push(() => server.close(0))
  return server
}

const hello: Handler = (_, response) => void response.end('hello')

/** A connection, the data received, and its end. */
async function open({ port }: Listening) {
  const socket = connect(port, '127.0.0.1')
  undo.push(() => socket.destroy())
  socket.on('error', () => {}) // it is closed anyway
  const closed = once(socket, 'close').catch(() => {})
  let got = ''
  socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')))
  await once(socket, 'connect')
  return {
    socket,
    /** All data received until the server closed the connection. */
    all: async (): Promise<string> => {
      await closed
      return got
    },
    received: async (what: RegExp): Promise<string> => {
      while (!what.test(got)) await once(socket, 'data')
      return got
    },
  }
}

const ask = ({ port }: Listening, headers: Record<string, string> = {}) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', headers, agent: false }, resolve)
    asked.on('error', reject).end()
  })

describe('invalid HTTP', () => {
  const rows: [sent: string, status: number][] = [
    ['hello\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nA: ${'a'.repeat(40_000)}\r\n\r\n`, 431],
    [`GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
  ]
  for (const [sent, status] of rows) {
    it(`gets ${status} and a closed connection: ${JSON.stringify(sent.slice(0, 60))}`, async () => {
      const server = await serve(hello)
      const { socket, all } = await open(server)
      socket.write(sent)
      const answer = await all()
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
      assert.match(answer, /\r\nConnection: close\r\n/)
    })
  }

  it('after a pending request gets its response in order', async () => {
    const server = await serve(() => {}) // never
    const { socket, all } = await open(server)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nhello\r\n\r\n')
    assert.equal(await all(), '')
    assert.equal(server.traffic().malformed, 1)
  })
})

describe('a slow client', () => {
  it('that does not complete its headers gets 408 and a closed connection', async () => {
    const server = await serve(hello, { headersTimeout: 400, checkInterval: 100 })
    const silent = await open(server)
    const slow = await open(server)
    slow.socket.write('GET / HTTP/1.1\r\nHost: a\r\n')
    const drip = setInterval(() => slow.socket.write('A: b\r\n'), 50)
    undo.push(() => clearInterval(drip))
    assert.match(await slow.all(), /^HTTP\/1\.1 408 /)
    assert.match(await silent.all(), /^HTTP\/1\.1 408 |^$/)
  })

  it('may be slow as long as it reads', async () => {
    // More than the system buffers for a connection.
    const size = 24_000_000
    const idleTimeout = 600
    const server = await serve((_, response) => void response.end(Buffer.alloc(size)), { idleTimeout })
    await until(async () => {
      let [length, longest, last] = [0, 0, performance.now()]
      const pause = () => {
        const now = performance.now()
        longest = Math.max(longest, now - last)
        last = now
      }
      try {
        for await (const chunk of (await ask(server)) as AsyncIterable<Buffer>) {
          pause()
          length += chunk.length
          if (length < size / 3) await sleep(10)
        }
        return length === size
      } catch (error) {
        pause()
        // On a busy machine, this process may pause so long that the client does stop reading.
        if (longest < idleTimeout / 2) throw error
        return false
      }
    })
  })

  it('that stops reading is disconnected, and its open files are closed', async () => {
    const ended = Promise.withResolvers<void>()
    const server = await serve(
      (_, response) => {
        response.on('close', ended.resolve)
        response.writeHead(200, { 'Content-Length': '100000000' })
        response.write(Buffer.alloc(50_000_000))
      },
      { idleTimeout: 300 },
    )
    const answer = await ask(server)
    answer.on('error', () => {})
    await ended.promise
    assert.equal(answer.complete, false)
    await until(() => server.traffic().connections === 0)
  })

  it('that waits for a long response is not disconnected', async () => {
    const slowly: Handler = (_, response) => {
      setTimeout(() => response.end('at last'), 1500)
    }
    const limits = { headersTimeout: 500, requestTimeout: 600, checkInterval: 50, idleTimeout: 500 }
    assert.equal(await text(await ask(await serve(slowly, limits))), 'at last')
  })
})

describe('a body', () => {
  const send = async (head: string) => {
    const server = await serve(hello)
    const { socket, ...rest } = await open(server)
    socket.write(`${head}\r\nHost: a\r\n`)
    return { server, socket, ...rest }
  }

  it('that is large is not read, and its connection is closed after the response', async () => {
    for (const size of ['Content-Length: 10000000000', 'Transfer-Encoding: chunked']) {
      const { socket, all } = await send('GET / HTTP/1.1')
      socket.write(`${size}\r\n\r\n`)
      const answer = await all()
      assert.match(answer, /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n[^]*hello$/)
    }
  })

  it('that is small leaves the connection open for the next request', async () => {
    const { socket, received } = await send('PUT / HTTP/1.1')
    socket.write('Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await received(/hello[^]*hello/)
  })

  it('with Expect: 100-continue is not requested', async () => {
    const { socket, received } = await send('PUT / HTTP/1.1')
    socket.write('Content-Length: 3\r\nExpect: 100-continue\r\n\r\n')
    assert.match(await received(/hello/), /^HTTP\/1\.1 200 /)
  })
})

describe('a server', () => {
  it('limits the number of connections', async () => {
    const server = await serve(hello, { maxConnections: 2 })
    const [first] = [await open(server), await open(server)]
    const third = await open(server)
    assert.equal(await third.all(), '')
    first.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await first.received(/hello/)
  })

  it('reports that its port is in use', async () => {
    const { port } = await serve(hello)
    await assert.rejects(listen({ handle: hello, refuse }, { host: '127.0.0.1', port }), (error) =>
      hasCode(error, 'CONFIG_INVALID'),
    )
  })
})

describe('a server that closes', () => {
  it('finishes responses, serves remaining requests, and closes all connections', async () => {
    const started = Promise.withResolvers<void>()
    const finish = Promise.withResolvers<void>()
    const server = await serve((incoming, response) => {
      if (incoming.url !== '/slow') return void response.end('hello')
      response.write('first')
      started.resolve()
      void finish.promise.then(() => response.end(' last'))
    })
    const kept: Socket = (await open(server)).socket
    const { socket, received, all } = await open(server)
    socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
    await started.promise
    const closed = server.close(600)
    const late = await ask(server)
    assert.equal(late.headers.connection, 'close')
    assert.equal(await text(late), 'hello')
    finish.resolve()
    await received(/last/)
    await all()
    await closed
    if (!kept.closed) await once(kept, 'close')
    await assert.rejects(ask(server), { code: 'ECONNREFUSED' })
  })

  it('does not wait longer than the limit', async () => {
    const started = Promise.withResolvers<void>()
    const server = await serve((_, response) => {
      response.write('first')
      started.resolve()
    })
    const { socket, all } = await open(server)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await started.promise
    await server.close(0.2)
    assert.match(await all(), /first/)
  })
})
