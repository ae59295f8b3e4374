import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerProcess } from '../scripts/server.ts'
import { ask, openWorkspace, type Workspace } from './support/workspace.ts'

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
  const text = await (await fetch(`http://${address}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

/** Asks for a path, reads the status line, and then nothing more. */
async function askAndStop(
  { port }: ServerProcess,
  path: string,
): Promise<{ socket: Socket; status: number }> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // ended by the server
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.pause()
  return { socket, status: Number(chunk.toString('latin1').slice(9, 12)) }
}

describe('six hundred readers that stop', () => {
  const limit = 512
  let server: ServerProcess
  let path: string
  before(async () => {
    const set = await workspace.packageSet(
      'big = run "big" "mkdir -p $out/bin; head -c 30000000 /dev/urandom > $out/bin/big";',
    )
    server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_LOG_LEVEL: 'info' })
    const { json } = await ask(server, 'big/manifests/latest')
    const { layers } = json as { layers: { digest: string; size: number }[] }
    const [layer] = layers.toSorted((a, b) => b.size - a.size)
    assert.ok(layer && layer.size > 25_000_000)
    path = `/v2/big/blobs/${layer.digest}`
  })

  it('are sent as much as there is room for; the rest is told to come back, others are served', async () => {
    const [files, bytes] = [await openFiles(server), await memory(server)]
    const readers: { socket: Socket; status: number }[] = []
    for (let at = 0; at < 600; at += 50) {
      readers.push(...(await Promise.all(Array.from({ length: 50 }, () => askAndStop(server, path)))))
    }
    const statuses = Map.groupBy(readers, ({ status }) => status)
    assert.deepEqual([statuses.get(200)?.length, statuses.get(429)?.length], [limit, 600 - limit])
    const { response, text } = await ask(server, path.slice('/v2/'.length))
    assert.equal(response.status, 429)
    assert.match(response.headers.get('Retry-After') ?? '', /^\d+$/)
    assert.match(text, /TOOMANYREQUESTS/)

    // Half a megabyte each, and some for the connections. Every blob has 30 MB.
    const taken = (await memory(server)) - bytes
    assert.ok(taken < 700 * limit * 1024, `${taken} bytes for ${limit} streams`)
    assert.equal((await ask(server, 'big/manifests/latest')).response.status, 200)
    assert.equal((await fetch(`http://${server.address}/readyz`)).status, 200)
    assert.equal(await metric(server, 'nixery_streams'), limit)
    assert.equal(await metric(server, 'nixery_streams_refused_total'), 600 - limit + 1)

    for (const { socket } of readers) socket.destroy()
    while ((await metric(server, 'nixery_streams')) > 0) await sleep(100)
    while ((await openFiles(server)) > files + 10) await sleep(100)
    assert.equal((await askAndStop(server, path)).status, 200)
  })
})
