import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { digestOf } from '../image/digest.ts'
import type { Layer } from '../image/oci.ts'
import { parseStorePath, type PathFacts } from '../image/store-path.ts'
import type { Catalog } from './catalog.ts'
import { withFront } from './front.ts'
import { openCatalog } from './sql.ts'
import { sqliteOf } from './sqlite-database.ts'
import { parseAny, testKey } from './keys-testing.ts'

const layer: Layer = { digest: digestOf('a'), diffId: digestOf('b'), size: 7, compression: 'gzip' }
const path = parseStorePath(`/nix/store/${'0'.repeat(32)}-p`)
const facts = (narHash: string): PathFacts => ({ storePath: path, narHash, narSize: 1, references: [] })

let statements: number
let below: Catalog
beforeEach(async () => {
  statements = 0
  const database = new Database(':memory:')
  below = await openCatalog(sqliteOf(database))
  const prepare = database.prepare.bind(database) as (sql: string) => Database.Statement
  Object.assign(database, {
    prepare(sql: string) {
      statements += 1
      return prepare(sql)
    },
  })
})

const tell = async (catalog: Catalog) => {
  await catalog.rememberResolutions(new Map([[testKey('name'), {}]]))
  await catalog.rememberPathFacts([facts('one')])
  await catalog.rememberLayer(testKey('layer'), layer, [])
  await catalog.rememberImage(testKey('image'), {})
  await catalog.rememberBlob(layer.digest, 7)
}
const ask = async (catalog: Catalog) => [
  await catalog.resolutions([testKey('name')], parseAny),
  (await catalog.pathFacts([path])).get(path)?.narHash,
  await catalog.layer(testKey('layer')),
  await catalog.layers([testKey('layer')]),
  await catalog.image(testKey('image'), parseAny),
  await catalog.blobSize(layer.digest),
]
const known = [new Map([['name', {}]]), 'one', layer, new Map([['layer', layer]]), {}, 7]

describe('the in-memory cache of a catalog', () => {
  it('returns what was written or read before without a statement', async () => {
    const written = withFront(below)
    await tell(written)
    statements = 0
    assert.deepEqual(await ask(written), known)
    assert.equal(statements, 0)

    const other = withFront(below)
    assert.deepEqual(await ask(other), known)
    assert.ok(statements > 0)
    statements = 0
    assert.deepEqual(await ask(other), known)
    assert.equal(statements, 0)
  })

  it('looks up blobs again after a while if others may delete them without a notification', async () => {
    await tell(below)
    const alone = withFront(below, undefined, 1)
    const deaf = withFront(below, () => {}, 1)
    for (const catalog of [alone, deaf]) assert.deepEqual(await ask(catalog), known)
    await below.forgetBlob(layer.digest)
    while ((await deaf.blobSize(layer.digest)) !== undefined) await sleep(1)
    while ((await deaf.layer(testKey('layer'))) !== undefined) await sleep(1)
    assert.deepEqual(await ask(alone), known)
  })

  it('does not cache rows that were invalidated while they were read', async () => {
    await tell(below)
    const slow = Promise.withResolvers<void>()
    const catalog = withFront({
      ...below,
      async layers(keys) {
        const found = await below.layers(keys)
        await slow.promise
        return found
      },
      async blobSize(digest) {
        const found = await below.blobSize(digest)
        await slow.promise
        return found
      },
      async pathFacts(paths) {
        const found = await below.pathFacts(paths)
        await slow.promise
        return found
      },
    })
    const firstReads = ask(catalog)
    const read = [
      catalog.layers([testKey('layer')]),
      catalog.blobSize(layer.digest),
      catalog.pathFacts([path]),
    ]
    // These have started, and have seen the previous state.
    await new Promise(setImmediate)
    await catalog.forgetBlob(layer.digest)
    await catalog.rememberPathFacts([facts('two')])
    slow.resolve()
    await Promise.all([firstReads, ...read])
    assert.equal(await catalog.layer(testKey('layer')), undefined)
    assert.equal(await catalog.blobSize(layer.digest), undefined)
    assert.equal((await catalog.pathFacts([path])).get(path)?.narHash, 'two')
  })

  it('forgets the layers of a blob, and no others', async () => {
    const catalog = withFront(below)
    const other = { ...layer, digest: digestOf('other') }
    await catalog.rememberLayer(testKey('one'), layer, [])
    await catalog.rememberLayer(testKey('two'), layer, [])
    await catalog.rememberLayer(testKey('moved'), layer, [])
    await catalog.rememberLayer(testKey('moved'), other, [])
    await catalog.forgetBlob(layer.digest)
    assert.deepEqual(
      await catalog.layers([testKey('one'), testKey('two'), testKey('moved')]),
      new Map([['moved', other]]),
    )
  })
})
