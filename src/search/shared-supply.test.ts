import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { digestOf } from '../image/digest.ts'
import { deleteOldIndexes } from '../upkeep/old-indexes.ts'
import { ago, collectIn, openWorld, type World } from '../upkeep/upkeep-testing.ts'
import { indexFormat } from './index-file.ts'
import type { Search } from './query.ts'
import { openProcesses, type TestProcesses } from './shared-testing.ts'
import { parseStatus } from './shared.ts'
import { packIndex } from './transfer.ts'

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(5)
}

describe('search indexes that processes share', { timeout: 300_000 }, () => {
  let directory: string
  let world: World
  let all: TestProcesses
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nixery-shared-search-'))
  })
  beforeEach(async () => {
    world = await openWorld(directory)
    all = openProcesses(world)
  })
  afterEach(async () => {
    await all.close()
    await world.catalog.close()
  })
  after(() => rm(directory, { recursive: true }))

  const found = async (search: Search, mayMake = true) => {
    const result = await search.find({ text: 'tool', limit: 9, mayMake })
    return [result?.state, ...(result?.results ?? []).map(({ description }) => description)]
  }
  const isFound = (search: Search, at = all.revision) =>
    until(async () => (await found(search)).includes(`release ${at}`))
  const stored = async () => (await world.stored()).length

  it('are made once for all, when a caller may cause that', async () => {
    const leader = all.worker('leader')
    const other = all.worker('other')
    leader.lead(() => true)
    const [one, two] = [all.front('one'), all.front('two')]
    assert.deepEqual(await found(one, false), ['unavailable'])
    assert.deepEqual(await found(one), ['making'])
    await Promise.all([one, two, other].map((each) => isFound(each)))
    assert.equal(all.evaluations, 1)
    assert.equal(await stored(), 1)
    // They are there after a restart, while the store and the database are away.
    await Promise.all([one, other].map((each) => each.close()))
    await world.catalog.close()
    for (const each of [all.front('one'), all.worker('other')]) {
      assert.deepEqual(await found(each), ['ready', 'release one'])
    }
    assert.deepEqual(all.warnings, [])
  })

  it('follow the package set, and old ones are deleted after a while', async () => {
    all.worker('leader').lead(() => true)
    const one = all.front('one')
    await isFound(one)
    const [old] = await world.stored()
    all.revision = 'two'
    await isFound(one)
    assert.equal(all.evaluations, 2)
    assert.equal(await stored(), 2)
    assert.equal((await readdir(all.folderOf('one'))).length, 1)
    assert.equal(await deleteOldIndexes(world), 0)
    const database = new Database(join(world.folder, 'catalog.db'))
    database.exec('update search_indexes set replaced_at = replaced_at - 1000 where replaced_at is not null')
    // The leader deletes them when it stores another one.
    all.revision = 'three'
    await until(async () => !(await world.stored()).includes(old ?? ''))
    await isFound(one)
    assert.equal(await stored(), 2)
    // No process makes an index of this set any more.
    await all.close()
    database.exec('update search_sets set wanted_at = wanted_at - 8 * 86400')
    database.close()
    await collectIn(world, { keepDays: 30 })
    assert.equal(await stored(), 0)
    assert.deepEqual(await world.catalog.searchIndexes.digests(), [])
  })

  it('are not garbage while the catalog names them', async () => {
    const leader = all.worker('leader')
    leader.lead(() => true)
    await isFound(leader)
    await until(async () => (await world.catalog.searchIndexes.digests()).length === 1)
    const [digest] = await world.catalog.searchIndexes.digests()
    assert.ok(digest)
    await world.age(digest, 40)
    await world.layer('unneeded', 40)
    const { blobs } = await collectIn(world, { keepDays: 30, now: ago(0) })
    assert.equal(blobs.count, 1)
    await collectIn(world, { sizeLimit: 1, now: ago(0) })
    assert.deepEqual(await world.stored(), [digest])
  })

  for (const [how, harm] of [
    ['damaged', (file: string) => writeFile(file, 'damaged')],
    ['missing', (file: string) => rm(file)],
  ] as const) {
    it(`are stored again, without an evaluation, when their bytes are ${how}`, async () => {
      all.worker('leader').lead(() => true)
      await isFound(all.front('one'))
      const [digest] = await world.catalog.searchIndexes.digests()
      assert.ok(digest)
      await harm(world.store.file?.(digest) ?? '')
      await isFound(all.front('two'))
      assert.equal(all.evaluations, 1)
      assert.deepEqual(await world.stored(), [digest])
      assert.deepEqual(all.warnings, [])
    })
  }

  for (const [what, pack] of [
    ['no indexes', (file: string) => packIndex(file, `${file}.zst`, new AbortController().signal)],
    [
      'not compressed',
      async (file: string) => {
        const bytes = await readFile(file)
        await writeFile(`${file}.zst`, bytes)
        return { digest: digestOf(bytes), size: bytes.length }
      },
    ],
  ] as const) {
    it(`are made again if those that were stored are ${what}`, async () => {
      all.worker('leader').lead(() => true)
      await isFound(all.front('one'))
      await all.close()
      const { searchIndexes } = world.catalog
      const { latest } = (await searchIndexes.sets(indexFormat, parseStatus)).get('') ?? {}
      assert.ok(latest)
      const file = join(world.folder, 'other')
      await writeFile(file, 'something else')
      const packed = await pack(file)
      await world.blobs.publish({ ...packed, mediaType: 'text/plain' }, { file: `${file}.zst` })
      await searchIndexes.add(indexFormat, '', { ...latest, ...packed })
      all.worker('next').lead(() => true)
      await isFound(all.front('two'))
      assert.equal(all.evaluations, 2)
      assert.match(all.warnings.join(), /cannot be used: /)
    })
  }

  it('are kept while the store is away', async () => {
    const leader = all.worker('leader')
    leader.lead(() => true)
    const one = all.front('one')
    await isFound(one)
    all.isAway = true
    const other = all.front('other')
    await until(() => all.warnings.length > 0)
    assert.match(all.warnings[0] ?? '', /cannot be fetched: the store is away/)
    all.revision = 'two'
    await until(() => all.warnings.length > 1)
    assert.match(all.warnings[1] ?? '', /cannot be shared: the store is away/)
    assert.deepEqual(await found(leader), ['ready', 'release two'])
    assert.deepEqual(await found(one), ['ready', 'release one'])
    all.isAway = false
    await Promise.all([one, other].map((each) => isFound(each)))
    assert.equal(all.evaluations, 2)
  })

  it('are not searched any more when the rules have changed', async () => {
    const old = all.worker('leader')
    const leading = old.lead(() => true)
    const one = all.front('one')
    const hasSecret = async () => (await one.find({ text: 'secret', limit: 9 }))?.results.length === 1
    await until(hasSecret)
    leading.stop()
    let mayMake = false
    let calls = 0
    all.failure = new Error('does not evaluate')
    all.worker('stricter', ['secret']).lead(() => {
      calls += 1
      return mayMake
    })
    await until(() => calls > 3)
    assert.equal(await hasSecret(), true)
    mayMake = true
    await until(async () => !(await hasSecret()))
    await until(async () => (await found(one))[0] === 'unavailable')
    assert.match(all.warnings[0] ?? '', /cannot be built: does not evaluate/)
    assert.equal(all.evaluations, 2)
  })

  it('are not read by a version with another format', async () => {
    all.worker('leader').lead(() => true)
    await isFound(all.front('one'))
    const [file = ''] = await readdir(all.folderOf('one'))
    await mkdir(all.folderOf('later'))
    const database = new Database(join(all.folderOf('one'), file))
    database.pragma('user_version = 999')
    database.exec(`vacuum into '${join(all.folderOf('later'), file)}'`)
    database.close()
    const later = all.front('later')
    assert.match(all.warnings.join(), /has the format 999/)
    assert.deepEqual((await found(later)).slice(1), [])
    await isFound(later)
  })
})
