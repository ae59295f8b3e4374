import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import { openSqliteCatalog } from '../../catalog/sqlite.ts'
import type { StorePath } from '../../image/store-path.ts'
import { dir, file } from '../../layers/testing.ts'
import { createHttpClient } from '../../net/http-client.ts'
import { openServer, type TestServer } from '../../popcount/testing.ts'
import { parseCacheAddress } from './address.ts'
import { openCache } from './cache.ts'
import { createCaches } from './caches.ts'
import { createFileCache } from './file-cache.ts'
import { createSigner, narOf, pathOf } from './testing.ts'
import { walkCaches } from './walk.ts'

const signer = createSigner('good-1')
const nar = narOf(dir({ x: file('text') }))
const paths = ['a', 'b', 'c', 'd'].map(pathOf)
const [a = assert.fail(), , , d = assert.fail()] = paths
const fileOf = (path: StorePath) => `/${path.slice(11, 43)}.narinfo`
const client = createHttpClient()
let folder: string
let server: TestServer
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nixery-kept-'))
  // Each path refers to the next one; the last is missing from the second cache, which is only queried for that one.
  const texts = new Map(
    paths.map((path, index) => [
      fileOf(path),
      signer.narinfo(path, nar, { references: paths.slice(index + 1, index + 2) }),
    ]),
  )
  server = await openServer((path) => {
    if (path.endsWith('nix-cache-info')) return { body: 'StoreDir: /nix/store\n' }
    const text = texts.get(path)
    return text === undefined ? { status: 404 } : { body: text }
  })
})
beforeEach(() => void server.requests.splice(0))
after(async () => {
  client.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

/** Walks the closure of a path like a newly started process; returns the result. */
async function walked(
  catalogFile: string,
  {
    keys = signer.keys,
    found = 60_000,
    root = a,
    doubt = [] as readonly StorePath[],
  }: { keys?: typeof signer.keys; found?: number; root?: StorePath; doubt?: readonly StorePath[] } = {},
) {
  const catalog = await openSqliteCatalog(join(folder, catalogFile))
  const kept = createFileCache(catalog)
  const lifetimes = { found, missing: 60_000 }
  const address = parseCacheAddress(server.url) ?? assert.fail()
  const options = { client, kept, lifetimes, connections: 5, stall: 5000, login: () => undefined }
  const cache = openCache(address, options)
  const caches = createCaches([cache], { keys, requireSignatures: true, lifetimes })
  for (const path of doubt) caches.forget(cache.name, path)
  const answer = await walkCaches(caches, [root], { avoid: new Set(), onTrouble: assert.fail })
  await kept.flush()
  await catalog.close()
  return 'reasons' in answer ? answer.reasons.join() : [...answer.keys()]
}

describe('the stored response of a binary cache', () => {
  it('is not requested again after a restart, existing or missing', async () => {
    assert.deepEqual(await walked('again.db'), paths)
    assert.equal(server.requests.length, 5)
    assert.match(String(await walked('again.db', { root: pathOf('none') })), /does not have it/)
    assert.equal(server.requests.length, 6)
    assert.deepEqual(await walked('again.db'), paths)
    assert.match(String(await walked('again.db', { root: pathOf('none') })), /does not have it/)
    assert.equal(server.requests.length, 6)
  })

  it('is requested again when it has expired or was wrong', async () => {
    await walked('lives.db')
    await walked('lives.db', { found: 0 })
    assert.equal(server.requests.length, 9, 'all but nix-cache-info')
    await walked('lives.db', { doubt: [d] })
    assert.equal(server.requests.length, 10)
  })

  it('is verified with the current keys', async () => {
    await walked('keys.db')
    const other = createSigner('good-1')
    assert.match(
      String(await walked('keys.db', { keys: other.keys })),
      /not a trusted key, or the signature is wrong/,
    )
    assert.equal(server.requests.length, 5)
  })

  it('counts as unknown if it cannot be read, or is from the future', async () => {
    await walked('damaged.db')
    const database = new Database(join(folder, 'damaged.db'))
    const change = (set: string, path: StorePath) =>
      database.prepare(`UPDATE cache_files SET ${set} WHERE address = ?`).run(`${server.url}${fileOf(path)}`)
    change("text = 'StorePath: x'", a)
    change('text = 17', paths[1] ?? a)
    change("asked_at = 'x'", paths[2] ?? a)
    change('asked_at = asked_at + 1000', d)
    database.close()
    assert.deepEqual(await walked('damaged.db'), paths)
    assert.equal(server.requests.length, 9)
  })
})
