import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { cacheOver } from '../contents/cache/cache.ts'
import type { InCache } from '../contents/cache/caches.ts'
import { openRoom } from '../contents/cache/open.ts'
import { parseTrustedKeys } from '../contents/cache/signature.ts'
import { pathOf, sri } from '../contents/cache/testing.ts'
import { hasCode, NixeryError } from '../errors.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { urgencies } from '../queue/demand.ts'
import type { Objects } from '../store/objects.ts'
import { failsWith } from '../store/testing.ts'
import { firstCreated, type First } from './first.ts'
import { openSigningKey, type SigningKey } from './key.ts'
import { createSharedCache, type SharedCache } from './shared-cache.ts'
import { objectsTransport } from './transport.ts'

/** A worker with its own store, in which every path has different bytes. */
type TestWorker = {
  readonly shared: SharedCache
  readonly facts: ReadonlyMap<StorePath, PathFacts>
  /** Uploads everything, and returns the accepted hashes. */
  readonly upload: (signal?: AbortSignal) => Promise<string[]>
}

const lib = pathOf('lib')
const app = pathOf('app')
const references: ReadonlyMap<StorePath, readonly StorePath[]> = new Map([
  [lib, []],
  [app, [app, lib].sort()],
])

async function openTestWorker(
  objects: Objects,
  {
    key,
    trusted = [],
    first,
    spoolDirectory,
  }: {
    readonly key: SigningKey
    readonly trusted?: readonly string[]
    readonly first: First
    readonly spoolDirectory: string
  },
  damage: (nar: Buffer) => Buffer = (nar) => nar,
): Promise<TestWorker> {
  const nars = new Map(Array.from(references.keys(), (path) => [path, randomBytes(300_000)]))
  const facts = new Map(
    Array.from(nars, ([storePath, nar]) => {
      const one = {
        storePath,
        narHash: sri(nar),
        narSize: nar.length,
        references: [...(references.get(storePath) ?? [])],
      }
      return [storePath, one]
    }),
  )
  const url = new URL('test://cache/')
  const shared = createSharedCache({
    cache: cacheOver(
      { url, name: 'test://cache', priority: -1, trusted: false, authorization: undefined },
      objectsTransport(objects, url),
      { connections: 8, lifetimes: { found: Infinity, missing: 0 } },
    ),
    objects,
    key,
    keys: parseTrustedKeys([...trusted, key.publicText]).keys,
    first,
    room: await openRoom({ spoolDirectory, spoolSize: 1e6 }),
    async *read(path) {
      yield damage(nars.get(path) ?? Buffer.alloc(0))
    },
  })
  return {
    shared,
    facts,
    async upload(signal = new AbortController().signal) {
      const counting = shared.upload([...facts.values()], { signal, urgency: () => urgencies.waiting })
      const found = await Promise.all([...references.keys()].flatMap((path) => counting.get(path) ?? []))
      return found.map(({ narinfo }) => narinfo.narHash)
    },
  }
}

/** The tests that shared caches at all kinds of locations must pass. `open` returns a new empty location. */
export function describeSharedCache(name: string, open: () => Promise<Objects>): void {
  describe(name, () => {
    let folder: string
    let key: SigningKey
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'nixery-sharing-'))
      key = await openSigningKey(join(folder, 'key'), false)
    })
    after(() => rm(folder, { recursive: true }))
    const worker = (objects: Objects, ...more: [((nar: Buffer) => Buffer)?]) =>
      openTestWorker(objects, { key, first: firstCreated(objects), spoolDirectory: folder }, ...more)
    const spooled = async () => (await readdir(folder)).filter((file) => file !== 'key')
    const bytesOf = ({ cache, narinfo }: InCache): Promise<Buffer> =>
      cache.reading(narinfo, {}, async (pieces) => zstdDecompressSync(await buffer(pieces)))

    it('has the bytes of one worker for each path, with concurrent uploads', async () => {
      const objects = await open()
      const workers = await Promise.all(Array.from({ length: 4 }, () => worker(objects)))
      const hashes = await Promise.all(workers.map(({ upload }) => upload()))
      assert.equal(new Set(hashes.map(String)).size, 1)
      const late = await worker(objects)
      assert.deepEqual(await late.upload(), hashes[0])
      const found = await late.shared.lookUp([lib, app, pathOf('other')], {})
      assert.deepEqual([...found.keys()], [lib, app])
      for (const one of found.values()) assert.equal(sri(await bytesOf(one)), one.narinfo.narHash)
      assert.deepEqual(
        await Promise.all(workers.map(({ shared, facts }) => shared.agrees(facts.values(), {}))),
        workers.map(
          ({ facts }) => [...facts.values()].map(({ narHash }) => narHash).join() === String(hashes[0]),
        ),
      )
      assert.deepEqual(await spooled(), [])
    })

    it('has no path without its references, and continues after a worker was killed', async () => {
      const objects = await open()
      const failing: Objects = {
        ...objects,
        async create(file, ...more) {
          if (file.startsWith(app.slice(11, 20))) throw new NixeryError('STORE_UNAVAILABLE', 'it is gone')
          return objects.create(file, ...more)
        },
      }
      const killed = await worker(failing)
      await failsWith('STORE_UNAVAILABLE', killed.upload())
      const next = await worker(objects)
      assert.deepEqual([...(await next.shared.lookUp([lib, app], {})).keys()], [lib])
      const hashes = await next.upload()
      assert.deepEqual(hashes, [killed.facts.get(lib)?.narHash, next.facts.get(app)?.narHash])
      assert.deepEqual(await (await worker(objects)).upload(), hashes)
    })

    it('refuses damaged paths, paths signed by others, and cancelled work', async () => {
      const objects = await open()
      for (const damage of [(nar: Buffer) => nar.subarray(1), (nar: Buffer) => Buffer.concat([nar, nar])]) {
        await failsWith('BUILD_FAILED', (await worker(objects, damage)).upload())
      }
      await failsWith('CANCELLED', (await worker(objects)).upload(AbortSignal.abort()))
      const other = await worker(objects)
      assert.equal((await other.shared.lookUp([lib], {})).size, 0)
      await other.upload()
      const strange = await openSigningKey(join(folder, 'other', 'key'), false)
      await rm(join(folder, 'other'), { recursive: true })
      const options = { key: strange, first: firstCreated(objects), spoolDirectory: folder }
      const otherWorker = await openTestWorker(objects, options)
      await assert.rejects(otherWorker.shared.lookUp([lib], {}), (error) => {
        assert.match(String(error), /has \S+-lib without a signature by a trusted key/)
        return hasCode(error, 'STORE_UNAVAILABLE')
      })
      await failsWith('STORE_UNAVAILABLE', otherWorker.upload())
      const trusting = await openTestWorker(objects, { ...options, trusted: [key.publicText] })
      assert.equal((await trusting.shared.lookUp([lib, app], {})).size, 2)
      assert.deepEqual(await spooled(), [])
    })
  })
}
