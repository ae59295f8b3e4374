import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { KnownLayer } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { createBudget } from '../contents/cache/budget.ts'
import { cacheContents, factsOf } from '../contents/cache/cached.ts'
import { createDownloads } from '../contents/cache/fetch.ts'
import { inCache, pathOf } from '../contents/cache/testing.ts'
import { openCompressor } from '../layers/compressor.ts'
import { createPacker, type Packer } from '../layers/pack.ts'
import { dir, file } from '../layers/testing.ts'
import { urgencies } from '../queue/demand.ts'
import type { Blobs } from './blobs.ts'
import { memberKey, type LayerSpec } from './layers.ts'
import { packLayers } from './packing.ts'
import { createFlights } from './single-flight.ts'

let spoolDirectory: string
let packer: Packer
before(async () => {
  spoolDirectory = mkdtempSync(join(tmpdir(), 'nixery-packing-'))
  packer = createPacker(spoolDirectory, await openCompressor('gzip', assert.fail), { threads: 1 })
})
after(async () => {
  await packer.close()
  rmSync(spoolDirectory, { recursive: true })
})

describe('packing layers from a binary cache', () => {
  it('makes the tree of links while the last layer is being stored', async () => {
    const [storePath, found] = inCache(pathOf('package'), dir({ bin: dir({ tool: file('tool') }) }))
    const facts = factsOf(found)
    const room = {
      spoolDirectory,
      budget: createBudget(1e8),
      budgetAhead: createBudget(1e8),
      memory: createBudget(1e6),
      downloads: createDownloads(),
      inThreads: new Set<never>(),
      ahead: new Set<string>(),
    }
    const demand = { signal: new AbortController().signal, urgency: () => urgencies.waiting }
    const contents = cacheContents(new Map([[storePath, found]]), room, {
      ...demand,
      onBytes() {},
      onDownloaded() {},
      listings: async () => new Map(),
      readListing: () => assert.fail('packing the path gave its listing'),
    })
    const linked = Promise.withResolvers<string[]>()
    const ofPath: LayerSpec = {
      key: 'path' as LayerSpec['key'],
      comment: '',
      narSize: facts.narSize,
      members: [{ storePath, facts, key: memberKey(facts, packer.compressorId) }],
    }
    const ofLinks: LayerSpec = {
      key: 'links' as LayerSpec['key'],
      comment: '',
      narSize: 0,
      members: [],
      make: async (listings) => {
        linked.resolve(await listings.list(`${storePath}/bin`))
        return { entries: [], env: [], warnings: [] }
      },
    }
    const blobs = {
      // Storing the first layer takes until the tree of links is made.
      publish: async () => void (await linked.promise),
    } as Partial<Blobs> as Blobs
    const catalog = await openSqliteCatalog(':memory:')
    try {
      const packing = createFlights<KnownLayer>()
      const deps = { ...demand, catalog, blobs, packer, contents, packing, emit() {} }
      const layers = await packLayers(deps, [ofPath, ofLinks])
      assert.deepEqual([...layers.keys()].toSorted(), ['links', 'path'])
      assert.deepEqual(await linked.promise, ['tool'])
    } finally {
      await catalog.close()
    }
  })
})
