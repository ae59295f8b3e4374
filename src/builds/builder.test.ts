import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Catalog } from '../catalog/catalog.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { impliedPackages, parseImageReference } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'
import { localContents } from '../contents/testing.ts'
import type { Packer } from '../layers/pack.ts'
import type { Nix } from '../nix/nix.ts'
import { builtInBook } from '../recipes/testing.ts'
import { nameFilter } from '../packages/policy.ts'
import { oneSet } from '../packages/sets.ts'
import { createLimiter } from '../queue/limiter.ts'
import type { Blobs } from './blobs.ts'
import { createBuilder, type Asked } from './builder.ts'
import { createOneRevision } from './one-revision.ts'
import { createResolver } from './resolve.ts'

const path = (name: string) => `/nix/store/${'a'.repeat(32)}-${name}` as StorePath

/** A builder over a Nix that knows every name, realises `jobs` builds at once, and ends each when it is told. */
function openFake({ jobs = 1, maxQueue = 10, retryLease = 600, revisions = ['1'] } = {}) {
  const realisations = createLimiter(jobs)
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const evaluated: string[] = []
  const seen: string[] = []
  const nix = {
    async evaluate({ attributes, revision }) {
      seen.push(revision ?? '')
      evaluated.push(String(attributes[0]))
      return attributes.map(([first = '']) => {
        const name = String(first)
        if (impliedPackages.some((implied) => implied === name))
          return { status: 'missing', path: [], siblings: [] }
        const found = {
          status: 'package',
          path: [name],
          packagePath: [name],
          pname: name,
          version: '1',
        } as const
        return {
          ...found,
          drvPath: path(`${name}.drv`),
          outputs: [{ output: 'out', outputPath: path(name) }],
          priority: 5,
          license: null,
        }
      })
    },
    withRealised: (wanted, watch) =>
      realisations.run(async () => {
        const name = wanted[0]?.outputPath.slice(path('').length) ?? ''
        watch.onBegin?.()
        begun.push(name)
        await new Promise<void>((resolve) => ends.set(name, resolve))
        throw new NixeryError('BUILD_FAILED', `${name} is over`)
      }, watch),
    forget() {},
  } as Partial<Nix> as Nix
  const catalog = {
    resolutions: async () => new Map(),
    rememberResolutions: async () => {},
    pathFacts: async () => new Map(),
  } as Partial<Catalog> as Catalog
  const ended: string[] = []
  const names = new Map<string, string>()
  const builder = createBuilder({
    sets: oneSet({
      description: 'fake',
      // Each pin is of the next revision, until the last one.
      pin: async () => {
        const revision = revisions.length > 1 ? revisions.shift() : revisions[0]
        return { revision: revision ?? '', set: { folder: '/' }, unchanged: async () => true }
      },
      tags: async () => [],
      usable: async () => {},
    }),
    nix,
    resolver: createResolver({
      recipes: builtInBook,
      catalog,
      nix,
      policy: { config: {}, overlays: [] },
      filter: nameFilter([], []),
      warn: assert.fail,
      later: (work) => void work,
    }),
    recipes: builtInBook,
    catalog,
    blobs: { losses: 0 } as Partial<Blobs> as Blobs,
    contents: localContents,
    packer: { compressorId: 'none', reconsider() {} } as Partial<Packer> as Packer,
    layering: () => ({ strategy: 'stable', popularity: undefined, maxLayers: 100 }) as never,
    pulls: { note() {}, flush: async () => {}, close: async () => {} },
    labels: {},
    maxQueue,
    retryLease,
    listener(build, event) {
      if (event.type === 'started') names.set(build, event.image)
      if (event.type === 'failed') ended.push(`${names.get(build)} ${(event.error as NixeryError).code}`)
    },
  })
  const ask = (name: string, asked: Partial<Asked> = {}) => {
    const client = new AbortController()
    const request = parseImageReference(name)
    const answer = builder.build(request, { id: name, signal: client.signal, ...asked })
    answer.catch(() => {})
    return { leave: () => client.abort(), answer }
  }
  return { builder, ask, begun, ended, ends, evaluated, seen }
}

/** Lets all that can go on without an event from outside go on. */
const settle = async () => {
  for (let turns = 0; turns < 30; turns += 1) await turn()
}
const failsWith = (code: Parameters<typeof hasCode>[1], answer: Promise<unknown>) =>
  assert.rejects(answer, (error) => hasCode(error, code))

describe('builds that wait for Nix', () => {
  it('are cancelled when their client leaves, and the one that Nix has begun is not', async () => {
    const { builder, ask, begun, ended, ends } = openFake()
    const all = []
    for (const name of ['one', 'two', 'three']) {
      all.push(ask(name))
      await settle()
    }
    assert.deepEqual([begun, builder.running, builder.queued], [['one'], 3, 2])
    for (const { leave } of all) leave()
    await settle()
    assert.deepEqual(ended, ['two CANCELLED', 'three CANCELLED'])
    assert.deepEqual([builder.running, builder.queued], [1, 0])
    const next = ask('four')
    await settle()
    ends.get('one')?.()
    await settle()
    assert.deepEqual(begun, ['one', 'four'])
    ends.get('four')?.()
    await failsWith('BUILD_FAILED', next.answer)
  })

  it('are so many, and more are refused, but joining one of them is not', async () => {
    const { builder, ask, evaluated } = openFake({ jobs: 2, maxQueue: 3 })
    const all = []
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      all.push(ask(name))
      await settle()
    }
    assert.deepEqual([builder.queued, evaluated.length], [3, 5])
    await failsWith('OVERLOADED', ask('f').answer)
    assert.equal(evaluated.length, 5, 'nothing is evaluated for what is refused')
    const joined = ask('e')
    await settle()
    all[4]?.leave()
    await settle()
    assert.equal(builder.queued, 3)
    joined.leave()
    await settle()
    assert.equal(builder.queued, 2)
    const later = ask('f')
    await settle()
    assert.deepEqual([builder.queued, evaluated.length], [3, 6])
    // What is made ahead of demand is not refused, as it comes one by one.
    ask('g', { background: true })
    await settle()
    assert.equal(builder.queued, 4)
    later.leave()
  })

  it('of clients that wait go first, then of those that are expected, then in the background', async () => {
    const { ask, begun, ends } = openFake()
    ask('busy')
    await settle()
    ask('background', { background: true })
    ask('raised', { background: true })
    await settle()
    const told = ask('told', { limit: 1 })
    await failsWith('STILL_BUILDING', told.answer)
    const again = ask('told-and-back', { limit: 1 })
    await failsWith('STILL_BUILDING', again.answer)
    ask('waiting')
    ask('raised')
    ask('told-and-back')
    await settle()
    const order = ['busy']
    for (const name of ['raised', 'told-and-back', 'waiting', 'told', 'background']) {
      ends.get(order.at(-1) ?? '')?.()
      await settle()
      order.push(name)
      assert.deepEqual(begun, order)
    }
  })

  it('wait on for a client that was told to retry, and are cancelled when it does not come back', async ({
    mock,
  }) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const { builder, ask, ended } = openFake({ retryLease: 600 })
    const pass = async (ms: number) => {
      mock.timers.tick(ms)
      await settle()
    }
    ask('busy')
    await settle()
    const told = ask('told', { limit: 1 })
    await settle()
    await pass(1)
    await failsWith('STILL_BUILDING', told.answer)
    told.leave()
    await pass(599_000)
    assert.deepEqual([ended, builder.queued], [[], 1])
    const back = ask('told')
    await settle()
    back.leave()
    await pass(599_000)
    assert.deepEqual([ended, builder.queued], [[], 1], 'it came back, and is expected again')
    const waiting = ask('told')
    await settle()
    await pass(1000_000)
    assert.deepEqual(ended, [], 'somebody waits')
    waiting.leave()
    await settle()
    assert.deepEqual([ended, builder.queued], [['told CANCELLED'], 0])
    // Nobody hears of it later: the next request starts again.
    ask('told')
    await settle()
    assert.equal(builder.queued, 1)
  })

  it('end with those that wait when the registry stops', async () => {
    const { builder, ask } = openFake()
    const all = ['one', 'two'].map((name) => ask(name).answer)
    await settle()
    builder.drain()
    for (const answer of all) await failsWith('CANCELLED', answer)
    await failsWith('CANCELLED', ask('three').answer)
  })
})

describe('the images of an index', () => {
  it('are built of one revision, though the package set changes meanwhile', async () => {
    const { ask, seen } = openFake({ jobs: 2, revisions: ['1', '2', '3', '4'] })
    const together = createOneRevision(2)
    for (const name of ['one', 'arm64/one']) ask(name, { together })
    await settle()
    assert.deepEqual(seen, ['2', '2'])
  })

  it('are answered at the last revision known only if all of them are', async () => {
    const some = createOneRevision(2)
    assert.deepEqual(await Promise.all([some.agree(true), some.agree(false)]), [false, false])
    const all = createOneRevision(2)
    assert.deepEqual(await Promise.all([all.agree(true), all.agree(true)]), [true, true])
  })
})
