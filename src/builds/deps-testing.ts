import assert from 'node:assert/strict'
import type { Catalog } from '../catalog/catalog.ts'
import { localContents } from '../contents/testing.ts'
import { impliedPackages } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Packer } from '../layers/pack.ts'
import type { LookupResult } from '../nix/evaluate.ts'
import type { Nix } from '../nix/nix.ts'
import { nameFilter } from '../packages/policy.ts'
import { oneSet } from '../packages/sets.ts'
import { builtInBook } from '../recipes/testing.ts'
import type { Blobs } from './blobs.ts'
import type { BuilderDeps } from './builder.ts'
import { noBases } from './no-bases-testing.ts'
import { createResolver } from './resolve.ts'

export const fakePath = (name: string) => `/nix/store/${'a'.repeat(32)}-${name}` as StorePath

/** The lookup of a name: every name is a package, except those that every image has. */
export function fakeLookup(name: string): LookupResult {
  if (impliedPackages.some((implied) => implied === name))
    return { status: 'missing', path: [], siblings: [] }
  return {
    status: 'package',
    path: [name],
    packagePath: [name],
    pname: name,
    version: '1',
    drvPath: fakePath(`${name}.drv`),
    outputs: [{ output: 'out', outputPath: fakePath(name) }],
    priority: 5,
    license: null,
  }
}

/**
 * The dependencies of builds with a fake Nix, an empty catalog, and one package set.
 * @param revisionOf returns the revision of the set at each pin
 */
export function fakeDeps(partialNix: Partial<Nix>, revisionOf: (tag: string) => string) {
  const nix = partialNix as Nix
  const catalog = {
    resolutions: async () => new Map(),
    rememberResolutions: async () => {},
    pathFacts: async () => new Map(),
  } as Partial<Catalog> as Catalog
  return {
    nix,
    catalog,
    sets: oneSet({
      description: 'fake',
      pin: async (tag) => ({
        revision: revisionOf(tag),
        set: { folder: '/' },
        unchanged: async () => true,
      }),
      tags: async () => [],
      usable: async () => {},
    }),
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
    contents: localContents,
    blobs: { losses: 0 } as Partial<Blobs> as Blobs,
    packer: { compressorId: 'none', reconsider() {} } as Partial<Packer> as Packer,
    layering: () => ({ strategy: 'stable', popularity: undefined, maxLayers: 100 }) as never,
    pulls: { note() {}, flush: async () => {}, close: async () => {} },
    labels: {},
    maxQueue: 10,
    retryLease: 600,
  } satisfies Partial<BuilderDeps>
}
