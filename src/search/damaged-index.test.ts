import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { until } from '../../test/support/until.ts'
import { openWorld, type World } from '../upkeep/upkeep-testing.ts'
import { indexFormat } from './index-file.ts'
import type { Search } from './query.ts'
import { damage, openProcesses, type TestProcesses } from './shared-testing.ts'
import { parseStatus } from './shared.ts'
import { packIndex } from './transfer.ts'

describe('a search index with a damaged page', { timeout: 60_000 }, () => {
  let directory: string
  let world: World
  let all: TestProcesses
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nixery-damaged-search-'))
  })
  beforeEach(async () => {
    world = await openWorld(directory)
  })
  afterEach(async () => {
    await all.close()
    await world.catalog.close()
  })
  after(() => rm(directory, { recursive: true }))

  const found = async (search: Search) =>
    (await search.find({ text: 'tool', limit: 9, mayMake: true }))?.results.length
  const isFound = (search: Search) => until(async () => (await found(search)) === 1, 'the package is found')
  const fileOf = async (name: string) => {
    const [file = ''] = await readdir(all.folderOf(name))
    return join(all.folderOf(name), file)
  }
  const latest = async () =>
    (await world.catalog.searchIndexes.sets(indexFormat, parseStatus)).get('')?.latest

  it('is made again if it was stored that way', async () => {
    all = openProcesses(world)
    all.worker('leader').lead(() => true)
    await isFound(all.front('one'))
    const stored = await latest()
    await all.close()
    assert.ok(stored)
    const file = await fileOf('one')
    damage(file)
    const packed = await packIndex(file, `${file}.zst`, new AbortController().signal)
    await world.blobs.publish({ ...packed, mediaType: 'text/plain' }, { file: `${file}.zst` })
    await world.catalog.searchIndexes.add(indexFormat, '', { ...stored, ...packed })

    // The leader's own file is damaged, too.
    damage(await fileOf('leader'))
    all.worker('leader').lead(() => true)
    await isFound(all.front('two'))
    assert.equal(all.evaluations, 2)
    assert.match(all.warnings.join(), /cannot be used: it is damaged/)
  })

  it('is not stored by a process whose file was damaged since', async () => {
    all = openProcesses(world)
    all.worker('leader').lead(() => true)
    await isFound(all.front('one'))
    const stored = await latest()
    await all.close()
    assert.ok(stored)
    damage(await fileOf('leader'))
    await world.catalog.searchIndexes.forget([stored.digest])
    all.worker('leader').lead(() => true)
    await isFound(all.front('two'))
    assert.equal(all.evaluations, 2)
    assert.deepEqual(all.warnings, [])
  })

  it('is not downloaded again and again if this machine damages it', async () => {
    all = openProcesses(world, 3_600_000)
    all.worker('leader').lead(() => true)
    const one = all.front('one')
    await isFound(one)
    damage(await fileOf('one'))
    assert.equal(await found(one), 0)
    const { looks, downloads } = all
    await until(() => all.looks > looks + 10, 'it has looked for another one')
    assert.equal(all.downloads, downloads)
    // Another one is downloaded at once.
    all.revision = 'two'
    await isFound(one)
    assert.equal(all.downloads, downloads + 1)
  })
})
