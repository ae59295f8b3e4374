import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, describe, it } from 'node:test'
import { listen, type Listening } from './server.ts'
import { refuseRequest as refuse } from './testing.ts'
import { until } from '../../test/support/until.ts'

describe('connections', () => {
  let server: Listening
  const sockets: Socket[] = []
  after(async () => {
    for (const socket of sockets) socket.destroy()
    await server.close(0)
  })
  const open = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ port: server.port, host: '127.0.0.1', localAddress })
    sockets.push(socket)
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }
  const isClosed = async (socket: Socket) => {
    socket.resume()
    await until(() => socket.readyState === 'closed', 'the connection to be closed')
  }

  it('are kept for others if one client opens many', async () => {
    server = await listen(
      { handle: (_, response) => void response.end('hello'), refuse },
      { host: '127.0.0.1', port: 0, limits: { maxConnections: 8 }, clientOf: (peer) => peer },
    )
    const countIs = (count: number) =>
      until(() => server.traffic().connections === count, `${count} connections`)
    const first = await open('127.0.0.1')
    for (let n = 1; n < 4; n++) await open('127.0.0.1')
    await countIs(4)
    await isClosed(await open('127.0.0.1'))

    const other = await open('127.0.0.2')
    other.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const [data] = (await once(other, 'data')) as [Buffer]
    assert.match(data.toString(), /hello/)
    await open('127.0.0.2')
    await countIs(6)
    await isClosed(await open('127.0.0.2'))

    // Closed ones no longer count.
    for (const socket of sockets)
      if (socket.localAddress === '127.0.0.1' && socket !== first) socket.destroy()
    await countIs(3)
    await open('127.0.0.2')
    await countIs(4)
  })
})
