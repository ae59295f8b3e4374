import assert from 'node:assert/strict'
import type { Catalog } from '../catalog/catalog.ts'
import { localContents } from '../contents/testing.ts'
import { NixeryError } from '../errors.ts'
import { impliedPackages } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Packer } from '../layers/pack.ts'
import type { Nix } from '../nix/nix.ts'
import { nameFilter } from '../packages/policy.ts'
import { oneSet } from '../packages/sets.ts'
import { noBases } from './no-bases-testing.ts'
import { builtInBook } from '../recipes/testing.ts'
import type { Blobs } from './blobs.ts'
import type { BuilderDeps } from './builder.ts'
import { createLocalBuilds } from './local-builds.ts'
import { createResolver } from './resolve.ts'

const path = (name: string) => `/nix/store/${'a'.repeat(32)}-${name}` as StorePath

/**
 * Builds in this process over a Nix that knows every name, and whose builds fail when the test says so.
 * @param deps.changing whether each pin gives another revision
 */
export function openFakeBuilds({
  changing = false,
  ...more
}: Partial<Pick<BuilderDeps, 'fence'>> & { readonly changing?: boolean } = {}) {
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
      watch.onLine?.('building with a secret')
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
        return {
          revision: changing ? `r${pins.length}` : 'r',
          set: { folder: '/' },
          unchanged: async () => true,
        }
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
    contents: localContents,
    blobs: { losses: 0 } as Partial<Blobs> as Blobs,
    packer: { compressorId: 'none', reconsider() {} } as Partial<Packer> as Packer,
    layering: () => ({ strategy: 'stable', popularity: undefined, maxLayers: 100 }) as never,
    pulls: { note() {}, flush: async () => {}, close: async () => {} },
    labels: {},
    ...more,
    maxQueue: 10,
    retryLease: 600,
    listener: (_, event) => void (event.type === 'started' && started.push(event.image)),
  })
  return { builds, began: began.promise, end: () => end.resolve(), started, pins }
}
