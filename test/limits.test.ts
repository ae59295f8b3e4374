import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { Agent, request, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerProcess } from '../scripts/server.ts'
import { logOf } from './support/log.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const openFiles = async ({ pid }: ServerProcess) => (await readdir(`/proc/${pid}/fd`)).length
const memory = async ({ pid }: ServerProcess) => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
}
const metric = async ({ address }: ServerProcess, name: string) => {
  const metrics = await (await fetch(`http://${address}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1])
}

/** Requests a path, reads the status line, and then stops reading. */
async function requestAndStall(
  { port }: ServerProcess,
  path: string,
): Promise<{ socket: Socket; status: number }> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // the server closes the connection
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.pause()
  return { socket, status: Number(chunk.toString('latin1').slice(9, 12)) }
}

describe('six hundred stalled readers', () => {
  const limit = 512
  let server: ServerProcess
  let path: string
  before(async () => {
    const set = await workspace.packageSet(
      'big = run "big" "mkdir -p $out/bin; head -c 30000000 /dev/urandom > $out/bin/big";',
    )
    server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_LOG_LEVEL: 'info' })
    const { json } = await requestV2(server, 'big/manifests/latest')
    const { layers } = json as { layers: { digest: string; size: number }[] }
    const [layer] = layers.toSorted((a, b) => b.size - a.size)
    assert.ok(layer && layer.size > 25_000_000)
    path = `/v2/big/blobs/${layer.digest}`
  })

  it('are served up to the limit; further ones get a retry response, and other requests are served', async () => {
    const [files, bytes] = [await openFiles(server), await memory(server)]
    const readers: { socket: Socket; status: number }[] = []
    for (let at = 0; at < 600; at += 50) {
      readers.push(...(await Promise.all(Array.from({ length: 50 }, () => requestAndStall(server, path)))))
    }
    const statuses = Map.groupBy(readers, ({ status }) => status)
    assert.deepEqual([statuses.get(200)?.length, statuses.get(429)?.length], [limit, 600 - limit])
    const { response, text: refusal } = await requestV2(server, path.slice('/v2/'.length))
    assert.equal(response.status, 429)
    assert.match(response.headers.get('Retry-After') ?? '', /^\d+$/)
    assert.match(refusal, /TOOMANYREQUESTS/)

    // Half a megabyte for each 30 MB blob, and some more for each connection.
    const taken = (await memory(server)) - bytes
    assert.ok(taken < 700 * limit * 1024, `${taken} bytes for ${limit} streams`)
    assert.equal((await requestV2(server, 'big/manifests/latest')).response.status, 200)
    assert.equal((await fetch(`http://${server.address}/readyz`)).status, 200)
    assert.equal(await metric(server, 'nixery_streams'), limit)
    assert.equal(await metric(server, 'nixery_streams_refused_total'), 600 - limit + 1)

    for (const { socket } of readers) socket.destroy()
    while ((await metric(server, 'nixery_streams')) > 0) await sleep(100)
    while ((await openFiles(server)) > files + 10) await sleep(100)
    assert.equal((await requestAndStall(server, path)).status, 200)
  })
})

describe('sixty thousand requests at once on one connection', () => {
  let server: ServerProcess
  before(async () => {
    const set = await workspace.packageSet('hello = script "hello" "echo hi"; slow = run "slow" "sleep 600";')
    server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    await requestV2(server, 'hello/manifests/latest')
  })
  after(() => server.stop()) // ends the build, too

  const flood = (path: string) => {
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(60_000))
    return socket
  }
  const assertOthersAreServed = async () => {
    for (let times = 0; times < 10; times += 1) {
      const started = performance.now()
      assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
      assert.ok(performance.now() - started < 45_000) // a minute without the limit, on an idle machine
    }
  }

  it('use little memory, and other clients are served', async () => {
    const atFirst = await memory(server)
    const known = flood('/v2/hello/manifests/latest')
    known.on('data', () => {})
    const slow = flood('/v2/slow/manifests/latest')
    while ((await metric(server, 'nixery_requests_running')) < 16) await sleep(20)
    await assertOthersAreServed()
    assert.ok((await metric(server, 'nixery_requests_running')) <= 2 * 16 + 1)
    const taken = (await memory(server)) - atFirst
    assert.ok(taken < 250_000_000, `${taken} bytes`) // 1.5 GB without the limit
    for (const socket of [known, slow]) socket.destroy()
  })
})

it('with few open files, known and new images are served next to a thousand idle connections', async () => {
  const set = await workspace.packageSet('hello = script "hello" "echo hi"; other = script "other" "";')
  const server = await workspace.serve({ NIXERY_PKGS_PATH: set }, ['prlimit', '--nofile=256:256'])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const get = async (path: string) => {
    const sent = request({ port: server.port, host: '127.0.0.1', path: `/v2/${path}`, agent }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return { status: response.statusCode, text: await text(response) }
  }
  assert.equal((await get('hello/manifests/latest')).status, 200)
  assert.ok(
    (await logOf(server)).some(({ msg }) =>
      /^256 files may be open at once, so at most \d+ connections/.test(msg),
    ),
  )
  const idle = Array.from({ length: 1000 }, () => connect(server.port, '127.0.0.1').on('error', () => {}))
  await Promise.all(idle.map((socket) => once(socket, 'connect')))
  while (idle.filter(({ closed }) => !closed).length > 200) await sleep(20)
  for (const name of ['hello', 'other']) {
    const { status, text: manifest } = await get(`${name}/manifests/latest`)
    assert.equal(status, 200, manifest)
    const { layers } = JSON.parse(manifest) as { layers: { digest: string }[] }
    for (const { digest } of layers) assert.equal((await get(`${name}/blobs/${digest}`)).status, 200)
  }
  assert.ok((await openFiles(server)) < 256)
  for (const socket of idle) socket.destroy()
  agent.destroy()
})

it('SIGHUP changes nothing for a server without TLS', async () => {
  const server = await workspace.serve({ NIXERY_PKGS_PATH: await workspace.packageSet('') })
  process.kill(server.pid, 'SIGHUP')
  for (let times = 0; times < 3; times += 1) {
    assert.equal((await fetch(`http://${server.address}/healthz`)).status, 200)
  }
  assert.equal(await server.stop(), 0)
})
