import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Catalog } from '../catalog/catalog.ts'
import { localContents } from '../contents/testing.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { impliedPackages, parseImageReference } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Packer } from '../layers/pack.ts'
import type { Nix } from '../nix/nix.ts'
import { builtInBook } from '../recipes/testing.ts'
import { nameFilter } from '../packages/policy.ts'
import { oneSet } from '../packages/sets.ts'
import type { Blobs } from './blobs.ts'
import { buildImage, type Builds, type BuildUpdate } from './builds.ts'
import { createLocalBuilds } from './local-builds.ts'
import { createResolver } from './resolve.ts'

const path = (name: string) => `/nix/store/${'a'.repeat(32)}-${name}` as StorePath

/** Builds over a Nix that knows every name, and whose builds fail when the test says so. */
function openFake() {
  const end = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  const pins: string[] = []
  const nix = {
    evaluate: async ({ attributes }) =>
      attributes.map((parts) => {
        const name = parts.join('.')
        if (impliedPackages.some((implied) => implied === name))
          return { status: 'missing', path: [], siblings: [] }
        const common = { pname: name, version: '1', path: parts, packagePath: parts }
        return {
          status: 'package',
          ...common,
          drvPath: path(`${name}.drv`),
          outputs: [{ output: 'out', outputPath: path(name) }],
          priority: 5,
          license: null,
        }
      }),
    async withRealised(_, watch) {
      began.resolve()
      watch.onLine?.('building')
      const gone = new Promise((resolve) => watch.signal?.addEventListener('abort', resolve))
      await Promise.race([end.promise, gone])
      throw new NixeryError(watch.signal?.aborted ? 'CANCELLED' : 'BUILD_FAILED', 'it is over', {
        hint: 'a hint',
      })
    },
    forget() {},
  } as Partial<Nix> as Nix
  const catalog = {
    resolutions: async () => new Map(),
    rememberResolutions: async () => {},
    pathFacts: async () => new Map(),
  } as Partial<Catalog> as Catalog
  const started: string[] = []
  const builds = createLocalBuilds({
    sets: oneSet({
      description: 'fake',
      async pin(tag) {
        pins.push(tag)
        return { revision: `r${pins.length}`, set: { folder: '/' }, unchanged: async () => true }
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
    contents: localContents,
    blobs: { losses: 0 } as Partial<Blobs> as Blobs,
    packer: { compressorId: 'none', reconsider() {} } as Partial<Packer> as Packer,
    layering: () => ({ strategy: 'stable', popularity: undefined, maxLayers: 100 }) as never,
    pulls: { note() {}, flush: async () => {}, close: async () => {} },
    labels: {},
    maxQueue: 10,
    retryLease: 600,
    listener: (_, event) => void (event.type === 'started' && started.push(event.image)),
  })
  return { builds, began: began.promise, end: () => end.resolve(), started, pins }
}

const hello = parseImageReference('hello')
const options = { requestId: 'test' }
const failsWith = (code: Parameters<typeof hasCode>[1], work: Promise<unknown>) =>
  assert.rejects(work, (error) => hasCode(error, code))
async function updatesOf(builds: Builds, id: string): Promise<BuildUpdate[]> {
  const updates: BuildUpdate[] = []
  for await (const update of builds.events(id)) updates.push(update)
  return updates
}

describe('builds', () => {
  it('tell what happens as plain data, the same to whoever reads early or late', async () => {
    const { builds, began, end } = openFake()
    const { id } = await builds.submit(hello, options)
    const early = updatesOf(builds, id)
    await began
    const later = updatesOf(builds, id)
    end()
    await failsWith('BUILD_FAILED', builds.result(id))
    const updates = await early
    assert.deepEqual(
      updates.map(({ type }) => type),
      ['started', 'joined', 'warning', 'warning', 'resolved', 'nix', 'failed'],
    )
    assert.deepEqual(JSON.parse(JSON.stringify(updates)), updates)
    const last = updates.at(-1)
    assert.ok(last?.type === 'failed')
    assert.deepEqual(last.failure, { code: 'BUILD_FAILED', message: 'it is over', hint: 'a hint' })
    assert.deepEqual([await later, await updatesOf(builds, id)], [updates, updates])
    await failsWith('BUILD_FAILED', builds.result(id))
  })

  it('are cancelled one request at a time', async () => {
    const { builds, end, began, started, pins } = openFake()
    // Of one group, so that both are of one revision, and one build.
    const grouped = { ...options, group: { id: 'g', size: 2 } }
    const [one, two] = [await builds.submit(hello, grouped), await builds.submit(hello, grouped)]
    await began
    assert.deepEqual([started, pins.length, builds.running], [['hello'], 2, 1])
    await builds.cancel(one.id)
    await failsWith('CANCELLED', builds.result(one.id))
    assert.equal(builds.running, 1, 'the other still wants it')
    end()
    await failsWith('BUILD_FAILED', builds.result(two.id))
    await builds.cancel(two.id)
    await failsWith('BUILD_FAILED', builds.result(two.id))
  })

  it('know their ids', async () => {
    const { builds } = openFake()
    await assert.rejects(builds.result('nope'), /unknown request id nope/)
    await assert.rejects(updatesOf(builds, 'nope'), /unknown request id nope/)
    await builds.cancel('nope')
  })

  it('are cancelled with the signal of a caller in the process', async () => {
    const { builds, began, started } = openFake()
    const leaving = new AbortController()
    const image = buildImage(builds, hello, { ...options, signal: leaving.signal })
    image.catch(() => {})
    await began
    leaving.abort()
    await failsWith('CANCELLED', image)
    await failsWith('CANCELLED', buildImage(builds, hello, { ...options, signal: AbortSignal.abort() }))
    assert.deepEqual(started, ['hello'])
  })
})
