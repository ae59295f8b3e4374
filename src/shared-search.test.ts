import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { NixeryError } from './errors.ts'
import type { Details } from './nix/list.ts'
import { nameFilter } from './packages/policy.ts'
import { createMaker, rulesOf } from './search/make.ts'
import { createSearch } from './search/search.ts'
import { openSetIndex } from './search/set-index.ts'
import { createSharedSupply } from './search/shared-supply.ts'
import { sharedIndexesOf } from './shared-search.ts'
import { deleteOldIndexes } from './upkeep/old-indexes.ts'
import { ago, collectIn, openWorld, type World } from './upkeep/upkeep-testing.ts'

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(5)
}

const intervals = { look: 5, wait: 5, check: 5, again: 5 }

describe('search indexes that processes share', { timeout: 60_000 }, () => {
  let directory: string
  let world: World
  let processes: { close(): Promise<void> }[] = []
  let revision: string
  let evaluations: number
  let failure: Error | undefined
  let warnings: string[]
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nixery-shared-search-'))
  })
  beforeEach(async () => {
    world = await openWorld(directory)
    revision = 'one'
    evaluations = 0
    failure = undefined
    warnings = []
  })
  afterEach(async () => {
    for (const each of processes) await each.close()
    processes = []
    await world.catalog.close()
  })
  after(() => rm(directory, { recursive: true }))

  const options = (store = world.store) => ({
    mode: 'demand' as const,
    background: true,
    note: () => {},
    warn: (line: string) => warnings.push(line),
    intervals,
    shared: sharedIndexesOf({
      ...world,
      store,
      blobs: { ...world.blobs, read: (...args) => store.read(...args) },
    }),
  })
  const folderOf = (name: string) => join(world.folder, name)
  const front = (name: string, store = world.store) => {
    const index = openSetIndex({
      folder: folderOf(name),
      name: undefined,
      warn: (line) => warnings.push(line),
    })
    const supply = createSharedSupply([{ index }], undefined, options(store))
    const search = createSearch(supply.sets, () => supply.close())
    processes.push(search)
    return search
  }
  const listed = (name: string) => ({
    path: [name],
    attribute: name,
    pname: name,
    version: '1',
    description: `release ${revision}`,
    program: undefined,
    homepage: undefined,
    license: null,
  })
  const worker = (name: string, { deny = [] as string[] } = {}) => {
    const set = {
      name: undefined,
      system: 'x86_64-linux',
      policy: {},
      filter: nameFilter([], deny),
      source: { pin: () => Promise.resolve({ set: { folder: '/' }, revision, unchanged: async () => true }) },
      async list(_set: unknown, _system: string, { onPart }: Details) {
        evaluations += 1
        if (failure) throw failure
        await onPart(['tool', 'secret'].map(listed), 2, 2)
        return { versions: [], failed: [] }
      },
    }
    const index = openSetIndex({ folder: folderOf(name), name: undefined, warn: assert.fail })
    const maker = createMaker({ memory: 1, note: () => {} })
    const supply = createSharedSupply([{ set, index, rules: rulesOf(set) }], maker, options())
    const search = createSearch(supply.sets, async () => {
      await Promise.all([supply.close(), maker.close()])
    })
    processes.push(search)
    return { ...search, lead: (mayMake: () => boolean) => supply.lead(mayMake) }
  }
  const found = async (search: ReturnType<typeof front>, mayMake = true) => {
    const result = await search.find({ text: 'tool', limit: 9, mayMake })
    return [result?.state, ...(result?.results ?? []).map(({ description }) => description)]
  }
  const isFound = (search: ReturnType<typeof front>, at = revision) =>
    until(async () => (await found(search)).includes(`release ${at}`))
  const stored = async () => (await world.stored()).length

  it('are made once for all, when somebody may cause that', async () => {
    const leader = worker('leader')
    const other = worker('other')
    leader.lead(() => true)
    const [one, two] = [front('one'), front('two')]
    assert.deepEqual(await found(one, false), ['unavailable'])
    assert.deepEqual(await found(one), ['making'])
    await Promise.all([one, two, other].map((each) => isFound(each)))
    assert.equal(evaluations, 1)
    assert.equal(await stored(), 1)
    // They are there after a restart, while the store and the database are away.
    await one.close()
    await world.catalog.close()
    assert.deepEqual(await found(front('one')), ['ready', 'release one'])
    assert.deepEqual(warnings, [])
  })

  it('follow the package set, and old ones are deleted after a while', async () => {
    worker('leader').lead(() => true)
    const one = front('one')
    await isFound(one)
    const [old] = await world.stored()
    revision = 'two'
    await isFound(one)
    assert.equal(evaluations, 2)
    assert.equal(await stored(), 2)
    assert.equal((await readdir(folderOf('one'))).length, 1)
    assert.equal(await deleteOldIndexes(world), 0)
    const database = new Database(join(world.folder, 'catalog.db'))
    database.exec('update search_indexes set replaced_at = replaced_at - 1000 where replaced_at is not null')
    assert.equal(await deleteOldIndexes(world), 1)
    assert.equal((await world.stored()).includes(old ?? ''), false)
    assert.equal(await stored(), 1)
    // Nobody makes an index of this set any more.
    for (const each of processes) await each.close()
    database.exec('update search_sets set wanted_at = wanted_at - 8 * 86400')
    database.close()
    await collectIn(world, { keepDays: 30 })
    assert.equal(await stored(), 0)
    assert.deepEqual(await world.catalog.searchIndexes.digests(), [])
  })

  it('are not garbage while the catalog names them', async () => {
    const leader = worker('leader')
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
      worker('leader').lead(() => true)
      await isFound(front('one'))
      const [digest] = await world.catalog.searchIndexes.digests()
      assert.ok(digest)
      await harm(world.store.file?.(digest) ?? '')
      await isFound(front('two'))
      assert.equal(evaluations, 1)
      assert.deepEqual(await world.stored(), [digest])
      assert.deepEqual(warnings, [])
    })
  }

  it('are kept while the store is away', async () => {
    let isAway = false
    const away = {
      ...world.store,
      read: (...args: Parameters<typeof world.store.read>) => {
        if (isAway) throw new NixeryError('STORE_UNAVAILABLE', 'the store is away')
        return world.store.read(...args)
      },
    }
    worker('leader').lead(() => true)
    const one = front('one', away)
    await isFound(one)
    isAway = true
    revision = 'two'
    await until(() => warnings.length > 0)
    assert.match(warnings[0] ?? '', /cannot be fetched: the store is away/)
    assert.deepEqual(await found(one), ['ready', 'release one'])
    isAway = false
    await isFound(one)
  })

  it('are not searched any more when the rules have changed', async () => {
    const old = worker('leader')
    const leading = old.lead(() => true)
    const one = front('one')
    const hasSecret = async () => (await one.find({ text: 'secret', limit: 9 }))?.results.length === 1
    await until(hasSecret)
    leading.stop()
    let mayMake = false
    let asked = 0
    failure = new Error('does not evaluate')
    worker('stricter', { deny: ['secret'] }).lead(() => {
      asked += 1
      return mayMake
    })
    await until(() => asked > 3)
    assert.equal(await hasSecret(), true)
    mayMake = true
    await until(async () => !(await hasSecret()))
    await until(async () => (await found(one))[0] === 'unavailable')
    assert.match(warnings[0] ?? '', /cannot be built: does not evaluate/)
    assert.equal(evaluations, 2)
  })

  it('are not read by a version with another format', async () => {
    worker('leader').lead(() => true)
    await isFound(front('one'))
    const [file = ''] = await readdir(folderOf('one'))
    await mkdir(folderOf('later'))
    const database = new Database(join(folderOf('one'), file))
    database.pragma('user_version = 999')
    database.exec(`vacuum into '${join(folderOf('later'), file)}'`)
    database.close()
    const later = front('later')
    assert.match(warnings.join(), /has the format 999/)
    assert.deepEqual((await found(later)).slice(1), [])
    await isFound(later)
  })
})
