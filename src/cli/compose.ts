import { join } from 'node:path'
import { createBlobs, type Blobs } from '../build/blobs.ts'
import { createBuilder, type Builder } from '../build/build.ts'
import type { BuildListener } from '../build/events.ts'
import type { LayerOptions } from '../build/layers.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { noPopularity } from '../closure/popularity.ts'
import type { Config } from '../config.ts'
import { verifiedReader, type ReadBlob } from '../export/verified.ts'
import { createPacker, type Packer } from '../layers/pack.ts'
import { createNix, type Nix, type Watch } from '../nix/nix.ts'
import { pathSource } from '../packages/path.ts'
import type { PackageSource } from '../packages/source.ts'
import { openFileStore } from '../store/fs.ts'

/** All that builds images, without a server over it: the same parts over the same folders as the server's. */
export type Workshop = {
  readonly source: PackageSource
  readonly nix: Nix
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly packer: Packer
  readonly layering: Omit<LayerOptions, 'compressorId'>
  readonly builder: Builder
  /** The store's blobs, checked as they are read. */
  readonly read: ReadBlob
  /** Ends what is still at work, and comes back when all of it has. */
  close(): Promise<void>
}

export type WorkshopOptions = {
  readonly listener: BuildListener
  /** Gets a line for each thing that had to be set up. */
  readonly note: (line: string) => void
  readonly signal: AbortSignal
}

// One command, one revision: that of its beginning.
const fingerprintTtl = 24 * 3_600_000

/** @throws CONFIG_INVALID, STORE_UNAVAILABLE, STORE_FULL, SETUP_FAILED, CANCELLED */
export async function openWorkshop(
  config: Config,
  { listener, note, signal }: WorkshopOptions,
): Promise<Workshop> {
  const packageSet = config.NIXERY_PKGS_PATH ?? (await demoPackageSet(config, note, signal))
  const stop = new AbortController()
  const nix = stoppable(
    createNix({
      rootsDirectory: join(config.NIXERY_DATA, 'gcroots'),
      builderTimeout: config.NIX_TIMEOUT,
      buildTimeout: config.NIXERY_BUILD_TIMEOUT,
      evalTimeout: config.NIXERY_EVAL_TIMEOUT,
      concurrency: config.NIXERY_NIX_JOBS,
      note,
    }),
    AbortSignal.any([signal, stop.signal]),
  )
  const store = await openFileStore(config.STORAGE_PATH)
  const catalog = await openSqliteCatalog(join(config.NIXERY_DATA, 'catalog.db'))
  const packer = createPacker(store.spoolDirectory)
  const blobs = createBlobs(store, catalog)
  const source = pathSource(packageSet, { ttl: fingerprintTtl, tags: config.NIXERY_TAGS })
  const layering = {
    strategy: 'nixery',
    popularity: noPopularity,
    maxLayers: config.NIXERY_MAX_LAYERS,
  } as const
  return {
    source,
    nix,
    catalog,
    blobs,
    packer,
    layering,
    builder: createBuilder({ source, nix, catalog, blobs, packer, layering, listener }),
    read: verifiedReader(
      (digest) => store.read(digest),
      async (digest) => {
        await catalog.forgetBlob(digest)
        await store.delete(digest)
      },
    ),
    async close() {
      stop.abort()
      await packer.close()
      await nix.settled()
      await catalog.close()
    },
  }
}

/**
 * Nix that stops when this process is to stop. In a server a build goes on once it has begun to realise, for who
 * asks later; a command is alone with it, and leaves neither processes nor garbage collector roots.
 */
function stoppable(nix: Nix, stop: AbortSignal): Nix & { settled(): Promise<unknown> } {
  const running = new Set<Promise<unknown>>()
  const tracked = <T>(work: Promise<T>): Promise<T> => {
    const done = work.finally(() => running.delete(done))
    running.add(done)
    return done
  }
  const both = (watch: Watch): Watch => ({
    ...watch,
    signal: watch.signal ? AbortSignal.any([watch.signal, stop]) : stop,
  })
  return {
    evaluate: (lookUp, watch) => tracked(nix.evaluate(lookUp, both(watch))),
    withRealised: (wanted, watch, use) => tracked(nix.withRealised(wanted, both(watch), use)),
    closureFacts: (paths, watch) => nix.closureFacts(paths, both(watch)),
    version: () => nix.version(),
    settled: () => Promise.allSettled(running),
  }
}

/** As the server does: with nothing configured there is still something to build from. */
async function demoPackageSet(
  config: Config,
  note: (line: string) => void,
  signal: AbortSignal,
): Promise<string> {
  note('no package set is configured (NIXERY_PKGS_PATH): taking the demo packages, made from Debian’s')
  const { ensureDemoPackageSet } = await import('../../demo/package-set.ts')
  return ensureDemoPackageSet({
    directory: join(config.NIXERY_DATA, 'demo'),
    cacheDirectory: config.NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: note,
    signal,
  })
}
