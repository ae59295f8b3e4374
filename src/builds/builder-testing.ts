import assert from 'node:assert/strict'
import type { Catalog } from '../catalog/catalog.ts'
import { localContents } from '../contents/testing.ts'
import { NixeryError } from '../errors.ts'
import { impliedPackages, parseImageReference } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Packer } from '../layers/pack.ts'
import type { Nix } from '../nix/nix.ts'
import { nameFilter } from '../packages/policy.ts'
import { oneSet } from '../packages/sets.ts'
import { createLimiter } from '../queue/limiter.ts'
import { noBases } from './no-bases-testing.ts'
import { builtInBook } from '../recipes/testing.ts'
import type { Blobs } from './blobs.ts'
import { createBuilder } from './builder.ts'
import type { Caller } from './caller.ts'
import { createResolver } from './resolve.ts'

const path = (name: string) => `/nix/store/${'a'.repeat(32)}-${name}` as StorePath

/**
 * A builder with a fake Nix that knows every name and realises `jobs` builds at once. A build fails when its function in
 * `ends` is called.
 */
export function openFakeBuilder({ jobs = 1, maxQueue = 10, retryLease = 600, revisions = ['1'] } = {}) {
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
      // Each pin returns the next revision, until the last one.
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
    bases: noBases,
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
  const ask = (name: string, caller: Partial<Caller> = {}) => {
    const client = new AbortController()
    const request = parseImageReference(name)
    const answer = builder.build(request, { id: name, signal: client.signal, ...caller })
    answer.catch(() => {})
    return { leave: () => client.abort(), answer }
  }
  return { builder, ask, begun, ended, ends, evaluated, seen }
}
