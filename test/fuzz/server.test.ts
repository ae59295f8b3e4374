import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import fc from 'fast-check'
import pLimit from 'p-limit'
import { openFiles } from '../reliability/processes.ts'
import { startVictim } from '../reliability/victim.ts'
import { makeCertificate } from '../support/certificates.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'
import { corpus } from './corpus.ts'
import { requests } from './requests.ts'
import { fuzzServer } from './server-fuzz.ts'
import { exchange } from './wire.ts'
import { until } from '../support/until.ts'

const seed = Number(process.env['NIXERY_TEST_SEED'] ?? Date.now() % 1e9)

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

it('a server survives any input, and reveals no files', async (t) => {
  t.diagnostic(`NIXERY_TEST_SEED=${seed}`)
  const figures = await fuzzServer(workspace, { seed, count: 1500 })
  t.diagnostic(JSON.stringify(figures))
  assert.equal(figures.requests, corpus.length + 1500)
  // The requests reached all parts of the server.
  for (const status of [200, 206, 304, 400, 404, 405, 416])
    assert.ok((figures.statuses[status] ?? 0) > 0, `${status}`)
  for (const kind of ['image', 'manifest', 'blob', 'tags', 'referrers', 'unreadable', 'page']) {
    assert.ok((figures.kinds[kind] ?? 0) > 0, kind)
  }
})

it('a TLS server survives any unencrypted input', async () => {
  const { cert, key } = await makeCertificate(workspace.folder, 'certificate')
  const data = join(workspace.folder, 'secure')
  const server = startVictim({
    environment: {
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_PKGS_PATH: await workspace.packageSet('hello = script "hello" "echo hi";'),
      NIXERY_TLS_CERT: cert,
      NIXERY_TLS_KEY: key,
    },
  })
  try {
    const port = Number((await server.address).split(':')[1])
    const options: RequestOptions = { host: '127.0.0.1', port, path: '/v2/', agent: false }
    const isAlive = async () => {
      const [response] = (await once(
        request({ ...options, ca: await readFile(cert) }).end(),
        'response',
      )) as [IncomingMessage]
      response.resume()
      assert.equal(response.statusCode, 200)
    }
    await isAlive()
    const atFirst = await openFiles(server.pid)
    const hello = '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03' // the beginning of a TLS handshake
    const sent = [...corpus, hello].map((text) => Buffer.from(text, 'latin1'))
    const random = fc.sample(requests({ digests: ['sha256:'] }), { seed, numRuns: 200 })
    await pLimit(16).map([...sent, ...random], (bytes) => exchange(port, bytes))
    await isAlive()
    await until(async () => (await openFiles(server.pid)) <= atFirst + 5, 'the server closes its files')
    assert.equal(await server.stop(), 0)
    assert.deepEqual(server.stray, [])
  } finally {
    await server.kill()
  }
})
