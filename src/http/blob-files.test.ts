import assert from 'node:assert/strict'
import { readdirSync, truncateSync, unlinkSync } from 'node:fs'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { digestOf, hexOf } from '../image/digest.ts'
import { until } from '../../test/support/until.ts'
import { codeOf, openTestRegistry, type TestRegistry } from './testing.ts'

let registry: TestRegistry
before(async () => (registry = await openTestRegistry()))
after(() => registry.dispose())

const address = () => `/v2/some/name/blobs/${registry.blob.digest}`
const etag = () => `"${registry.blob.digest}"`

describe('files of blobs', () => {
  const openFiles = () => readdirSync('/proc/self/fd').length
  /** Waits until no more files are open than before. */
  const untilClosed = (count: number) => until(() => openFiles() <= count, `only ${count} files are open`)

  it('are not opened for HEAD and 304, and are closed after GET', async () => {
    for (const client of registry.clients) {
      await client.fetch(address())
      const opened = openFiles()
      for (let count = 0; count < 20; count += 1) {
        await client.fetch(address(), { method: 'HEAD' })
        await client.fetch(address(), { headers: { 'If-None-Match': etag() } })
        await client.fetch(address())
        await client.fetch(address(), { headers: { Range: 'bytes=0-9,20-29' } })
      }
      await untilClosed(opened)
    }
  })

  it('are closed when the client leaves in the middle', async () => {
    const opened = openFiles()
    for (let count = 0; count < 20; count += 1) {
      const response = await registry.fetch(address())
      const reader = response.body?.getReader()
      await reader?.read()
      await reader?.cancel()
      await new Promise<void>((resolve, reject) => {
        const sent = request({ port: registry.port, host: '127.0.0.1', path: address(), agent: false })
        sent.on('response', (incoming) =>
          incoming.once('data', () => incoming.destroy()).once('close', resolve),
        )
        sent.on('error', reject).end()
      })
    }
    await untilClosed(opened)
  })

  // As files of this machine, and as a bucket's objects, of which there are only streams.
  for (const kind of ['file', 'object'] as const) {
    it(`that end too early abort the response, and are verified again: as ${kind}`, async () => {
      const bytes = Buffer.alloc(2_000_000, kind)
      const digest = digestOf(bytes)
      const path = `/v2/x/blobs/${digest}`
      await registry.blobs.publish({ digest, size: bytes.length, mediaType: 'x/y' }, { bytes })
      const file = registry.blobs.file(digest) ?? ''
      assert.ok(file.endsWith(hexOf(digest)))
      const { blobs } = registry
      const doubted: string[] = []
      const other = await registry.with({
        blobs: {
          ...blobs,
          find: () => Promise.resolve(bytes.length),
          file: (which) => (kind === 'file' ? blobs.file(which) : undefined),
          doubt: (which) => (doubted.push(which), blobs.doubt(which)),
        },
      })
      truncateSync(file, 1_000_000)
      for (const client of other.clients) await assert.rejects(client.fetch(path))
      assert.deepEqual(doubted, [digest, digest])
      await other.dispose()
      assert.equal((await registry.clients[1].fetch(path)).status, 404)
      const entry = other.accessLog.at(-1)
      assert.equal(entry?.status, 200)
      assert.ok((entry?.bytes ?? Infinity) <= 1_000_000)
      assert.ok(hasCode(entry?.error, 'STORE_UNAVAILABLE'))
    })
  }

  it('that no longer exist are 404', async () => {
    const bytes = Buffer.from('soon gone')
    const digest = digestOf(bytes)
    await registry.blobs.publish({ digest, size: bytes.length, mediaType: 'x/y' }, { bytes })
    unlinkSync(registry.blobs.file(digest) ?? '')
    for (const client of registry.clients) {
      const answer = await client.fetch(`/v2/x/blobs/${digest}`)
      assert.equal(answer.status, 404)
      assert.equal(codeOf(answer), 'BLOB_UNKNOWN')
    }
  })
})
