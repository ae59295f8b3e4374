import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, describe, it } from 'node:test'
import { createHttpClient } from '../../net/http-client.ts'
import { httpTransport } from './transport.ts'

const undo: (() => void)[] = []
after(() => undo.forEach((each) => each()))

async function serve(listener: RequestListener) {
  const server = createServer({ keepAliveTimeout: 0 }, listener) // a busy machine must not close idle connections
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  undo.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`) }
}
function httpWith(environment: NodeJS.ProcessEnv) {
  const client = createHttpClient({ environment })
  undo.push(() => client.close())
  return httpTransport({ client, stall: 5000, firstDelay: 1, authorization: () => undefined })
}

describe('connections to a cache', () => {
  it('are reused, also after a missing file and a redirect', async () => {
    let connections = 0
    const { server, url } = await serve((request, response) => {
      if (request.url === '/moved') response.writeHead(302, { Location: '/there' }).end('see there')
      else response.writeHead(request.url === '/there' ? 200 : 404).end('text')
    })
    server.on('connection', () => (connections += 1))
    const http = httpWith({})
    for (const path of ['/there', '/missing', '/moved', '/missing', '/there'])
      await http.small(new URL(path, url), 100, undefined)
    assert.equal(connections, 1)
  })

  it('go through the proxy of the environment', async () => {
    const { url: proxy } = await serve((request, response) => response.end(`by proxy: ${request.url}`))
    const http = httpWith({ http_proxy: proxy.origin })
    const url = new URL('http://cache.invalid/x.narinfo')
    assert.equal((await http.small(url, 100, undefined))?.toString(), `by proxy: ${url.href}`)
    const pieces: Uint8Array[] = []
    for await (const piece of http.bytes(url, undefined)) pieces.push(piece)
    assert.equal(Buffer.concat(pieces).toString(), `by proxy: ${url.href}`)
  })
})
