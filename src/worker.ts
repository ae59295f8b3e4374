import { join } from 'node:path'
import { createBaseRegistry } from './bases/registry.ts'
import { createBases, type Bases } from './builds/bases.ts'
import type { Layering } from './builds/build.ts'
import type { WorkerStatus } from './builds/builds.ts'
import { createEstimates, type Estimates } from './builds/estimates.ts'
import type { BuildListener } from './builds/events.ts'
import type { CacheOrigin } from './builds/from-caches.ts'
import { createBackgroundWork } from './builds/background-work.ts'
import { createLocalBuilds, type LocalBuilds } from './builds/local-builds.ts'
import { createPulls, ignoredTags, type Pulls } from './builds/pull-counter.ts'
import type { Resolver } from './builds/resolve.ts'
import { settingNames, type Config } from './config.ts'
import { restrictionOf, withoutEffect } from './evaluation.ts'
import type { Contents } from './contents/contents.ts'
import { localStore } from './contents/local.ts'
import { openCompressor } from './layers/compressor.ts'
import type { Platform } from './image/platform.ts'
import { createPacker, type Packer } from './layers/pack.ts'
import { createNix, type Nix } from './nix/nix.ts'
import { stoppable } from './nix/stoppable.ts'
import { urlLabel } from './image/labels.ts'
import { parseImageName } from './image/name.ts'
import { vocabularyOf } from './config/set-config.ts'
import type { PackageSets } from './packages/sets.ts'
import { anyUsable } from './packages/usable.ts'
import { createPopularity } from './popcount/source.ts'
import { openSearch, versionsIn, type PackageSearch } from './package-search.ts'
import { openSets, type OpenSets } from './sets.ts'
import { evaluationStore, openOrigin } from './origin.ts'
import { openSharedCache } from './shared-cache.ts'
import type { SharedCache } from './sharing/shared-cache.ts'
import type { State } from './state.ts'
import { statusOf } from './worker-status.ts'

/** Builds images: the part of a registry that has Nix and the threads that pack layers. */
export type Worker = {
  readonly builds: LocalBuilds
  readonly status: WorkerStatus
  readonly sets: PackageSets
  readonly listing: OpenSets['listing']
  /** Undefined with NIXERY_SEARCH=off. */
  readonly search: PackageSearch | undefined
  readonly estimates: Estimates
  /** The versions that the index has of a package, the newest first. */
  versionsOf(set: string | undefined, attribute: string): readonly string[]
  readonly nix: Nix
  readonly resolver: Resolver
  readonly bases: Bases
  readonly packer: Packer
  readonly contents: Contents
  /** Binary caches, where images may be made from them. */
  readonly origin: CacheOrigin | undefined
  /** The binary cache that workers share. */
  readonly shared: SharedCache | undefined
  readonly layering: () => Layering
  /** Looks for new popularity data, because others may have it. */
  readonly refreshPopularity: () => void
  /** Looks for new popularity data periodically, until it is stopped. */
  readonly pollPopularity: () => { stop(): void }
  /** Whether any package set can be used; see `anyUsable`. */
  readonly usable: () => Promise<boolean>
  /** Ends all work in progress, and waits until it has ended. */
  close(): Promise<void>
}

export type WorkerOptions = {
  readonly listener: BuildListener
  /** Receives a line for each thing that had to be set up, or changed. */
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
  /** Receives a line for each setting that Nix needs on this machine; `note` by default. */
  readonly noteSetting?: (line: string) => void
  /** Loads the package set for this platform ahead of demand, with what every image has. */
  readonly prepare?: Platform | undefined
  /** Called for each image that was served from memory. */
  readonly onRemembered?: () => void
  /** For builds of others, who count pulls and bound the queue; `fence` as in `BuilderDeps`. */
  readonly forOthers?: { readonly fence: (build: string) => Promise<void> } | undefined
  /** Stops Nix, and making the demo packages. */
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds that closing waits for work postponed until after responses. */
const longestRest = 5_000

/** @throws CONFIG_INVALID, NIX_UNAVAILABLE, SETUP_FAILED, CANCELLED */
export async function openWorker(config: Config, state: State, options: WorkerOptions): Promise<Worker> {
  const { listener, note, warn, signal, onRemembered, prepare } = options
  const { catalog, blobs, versions } = state
  const stop = new AbortController()
  const nix = stoppable(
    createNix({
      rootsDirectory: join(config.NIXERY_DATA, 'gcroots'),
      keepRoots: 24 * 3600,
      builderTimeout: config.NIX_TIMEOUT,
      buildTimeout: config.NIXERY_BUILD_TIMEOUT,
      evalTimeout: config.NIXERY_EVAL_TIMEOUT,
      fetchTimeout: config.NIXERY_FETCH_TIMEOUT,
      evalMemory: config.NIXERY_EVAL_MEMORY,
      evaluator: config.NIXERY_EVALUATOR,
      concurrency: config.NIXERY_NIX_JOBS,
      restricted: restrictionOf(config),
      passEnvironment: config.NIXERY_NIX_ENV,
      withholdEnvironment: settingNames,
      store: evaluationStore(config, process.env, note),
      note: options.noteSetting ?? note,
    }),
    signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  )
  // Starts this early, while the rest is opened, so that the server is ready sooner.
  if (prepare) void nix.settle().catch(() => {})
  const nixVersion = await nix.version()
  const { add: later, settled } = createBackgroundWork()
  let search: PackageSearch | undefined
  const hints = (set: string | undefined, name: string) => search?.hints(set, name) ?? []
  const opened = await openSets(config, { nix, catalog, versions, hints, later, note, warn, signal })
  const { sets, resolver, recipes } = opened
  for (const line of withoutEffect(process.env, config)) warn(line)
  if (prepare) opened.prepare(prepare.system)
  search = openSearch(config, opened, state, { note, warn, background: prepare !== undefined })
  const refreshSeconds = config.NIXERY_POPULARITY_REFRESH
  const popularity = await createPopularity({
    url: config.NIX_POPULARITY_URL,
    refreshSeconds,
    note,
    warn,
    copyFolder: config.NIXERY_CACHE,
  })
  const packer = createPacker(
    state.store.spoolDirectory,
    await openCompressor(config.NIXERY_COMPRESSION, note),
    {
      limit: config.NIXERY_PACK_TIMEOUT,
    },
  )
  const contents = localStore(nix.closureFacts)
  const { spoolDirectory } = state.store
  const shared = await openSharedCache(config, { postgres: state.postgres, spoolDirectory, note })
  const origin = await openOrigin(config, { nix, catalog, shared }, spoolDirectory, warn)
  const bases = createBases({
    catalog,
    blobs,
    registry: createBaseRegistry({ environment: process.env }),
    registries: config.NIXERY_BASE_REGISTRIES,
    size: config.NIXERY_BASE_SIZE,
    timeLimit: config.NIXERY_FETCH_TIMEOUT,
  })
  const layering = (): Layering => ({
    strategy: config.NIXERY_STRATEGY,
    popularity: popularity.current(),
    maxLayers: config.NIXERY_MAX_LAYERS,
  })
  const labels = urlLabel(config.NIXERY_IMAGE_URL)
  const estimates = createEstimates({
    sets,
    resolver,
    bases,
    catalog,
    blobs,
    compressorId: packer.compressorId,
    layering,
    labels,
    parse: (name) => parseImageName(name, undefined, vocabularyOf(config)),
  })
  const pulls = createPulls(
    catalog,
    state.uses,
    2_000,
    config.NIXERY_TAGS === 'any' ? ignoredTags() : undefined,
  )
  const builds = createLocalBuilds({
    sets,
    recipes,
    nix,
    resolver,
    bases,
    catalog,
    blobs,
    packer,
    contents,
    origin,
    shared,
    layering,
    versions,
    pulls: options.forOthers ? uncounted : pulls,
    labels,
    listener,
    maxQueue: options.forOthers ? Infinity : config.NIXERY_MAX_QUEUE,
    ...(options.forOthers && { fence: options.forOthers.fence }),
    retryLease: config.NIXERY_RETRY_LEASE,
    ...(onRemembered && { onRemembered }),
  })
  return {
    builds,
    status: statusOf({ ...opened, nix, nixVersion, builds }),
    sets,
    listing: (name) => opened.listing(name),
    search,
    estimates,
    versionsOf: (set, attribute) => versionsIn(versions, opened.listing(set)?.source, attribute),
    nix,
    resolver,
    bases,
    packer,
    contents,
    origin,
    shared,
    layering,
    refreshPopularity: () => popularity.refresh(),
    pollPopularity: () => popularity.poll(),
    usable: () => anyUsable(sets.sources.values()),
    async close() {
      popularity.stop()
      stop.abort()
      await search?.close()
      await packer.close()
      await settled(longestRest)
      await nix.settled()
      await nix.close()
      await origin?.close()
      await pulls.close()
    },
  }
}

const uncounted: Pulls = { note() {}, flush: () => Promise.resolve(), close: () => Promise.resolve() }
