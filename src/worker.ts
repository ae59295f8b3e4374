import { join } from 'node:path'
import type { Layering } from './builds/build.ts'
import type { WorkerStatus } from './builds/builds.ts'
import type { BuildListener } from './builds/events.ts'
import type { CacheOrigin } from './builds/from-caches.ts'
import { createLater } from './builds/later.ts'
import { createLocalBuilds, type LocalBuilds } from './builds/local-builds.ts'
import { createPulls } from './builds/pull-counter.ts'
import { createResolver, type Resolver } from './builds/resolve.ts'
import { settingNames, type Config } from './config.ts'
import { policyOf, restrictionOf, withoutEffect } from './evaluation.ts'
import type { Contents } from './contents/contents.ts'
import { localStore } from './contents/local.ts'
import { openCompressor } from './layers/compressor.ts'
import type { Platform } from './image/platform.ts'
import { createPacker, type Packer } from './layers/pack.ts'
import { createNix, type Nix } from './nix/nix.ts'
import { stoppable } from './nix/stoppable.ts'
import { urlLabel } from './image/labels.ts'
import { nameFilter } from './packages/policy.ts'
import type { PackageSource } from './packages/source.ts'
import { createPopularity } from './popcount/source.ts'
import { openSource, prepareSource } from './sources.ts'
import { evaluationStore, openOrigin } from './origin.ts'
import type { State } from './state.ts'

/** Builds images: the part of a registry that has Nix and the threads that pack layers. */
export type Worker = {
  readonly builds: LocalBuilds
  readonly status: WorkerStatus
  readonly source: PackageSource
  readonly nix: Nix
  readonly resolver: Resolver
  readonly packer: Packer
  readonly contents: Contents
  /** Binary caches, where images may be made from them. */
  readonly origin: CacheOrigin | undefined
  readonly layering: () => Layering
  /** Ends what is still at work, and comes back when all of it has. */
  close(): Promise<void>
}

export type WorkerOptions = {
  readonly listener: BuildListener
  /** Gets a line for each thing that had to be set up, or changed. */
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
  /** Loads the package set for this platform ahead of demand, with what every image has. */
  readonly prepare?: Platform | undefined
  /** Hears of each image that was answered from memory. */
  readonly onRemembered?: () => void
  /** Ends making the demo packages, and Nix. */
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds that ending waits for what was to be done after answers. */
const longestRest = 5_000

/** @throws CONFIG_INVALID, NIX_UNAVAILABLE, SETUP_FAILED, CANCELLED */
export async function openWorker(config: Config, state: State, options: WorkerOptions): Promise<Worker> {
  const { listener, note, warn, signal, onRemembered, prepare } = options
  const { catalog, blobs } = state
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
      note,
    }),
    signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  )
  // A server that answers soon has begun with it while the rest is opened.
  if (prepare) void nix.settle().catch(() => {})
  const nixVersion = await nix.version()
  const source = await openSource(config, { nix, note, warn, signal })
  const policy = policyOf(config)
  for (const line of withoutEffect(process.env, config)) warn(line)
  if (prepare) void prepareSource(source, nix, { ...policy, system: prepare.system }, { note, warn })
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
  const contents = localStore((paths, watch) => nix.closureFacts(paths, watch))
  const origin = await openOrigin(config, nix, state.store.spoolDirectory, warn)
  const layering = (): Layering => ({
    strategy: config.NIXERY_STRATEGY,
    popularity: popularity.current(),
    maxLayers: config.NIXERY_MAX_LAYERS,
  })
  const filter = nameFilter(config.NIXERY_ALLOW, config.NIXERY_DENY)
  const rest = createLater()
  const later = (work: Promise<unknown>) => rest.add(work)
  const resolver = createResolver({ catalog, nix, policy, filter, warn, later })
  const pulls = createPulls(catalog, state.uses, 2_000)
  const builds = createLocalBuilds({
    source,
    nix,
    resolver,
    catalog,
    blobs,
    packer,
    contents,
    origin,
    layering,
    pulls,
    labels: urlLabel(config.NIXERY_IMAGE_URL),
    listener,
    maxQueue: config.NIXERY_MAX_QUEUE,
    retryLease: config.NIXERY_RETRY_LEASE,
    ...(onRemembered && { onRemembered }),
  })
  return {
    builds,
    status: statusOf({ nix, nixVersion, source, builds }),
    source,
    nix,
    resolver,
    packer,
    contents,
    origin,
    layering,
    async close() {
      popularity.stop()
      stop.abort()
      await packer.close()
      await rest.settled(longestRest)
      await nix.settled()
      await nix.close()
      origin?.close()
      await pulls.close()
    },
  }
}

type StatusDeps = Pick<Worker, 'nix' | 'source' | 'builds'> & { readonly nixVersion: string }

const statusOf = ({ nix, nixVersion, source, builds }: StatusDeps): WorkerStatus => ({
  nixVersion,
  packages: { description: source.description, publicDescription: source.publicDescription },
  tags: () => source.tags(),
  async revision() {
    const { revision } = await source.pin('latest')
    return revision
  },
  async check(part) {
    await (part === 'nix' ? nix.version() : source.usable())
  },
  load: () => ({ running: builds.running, queued: builds.queued, evaluators: nix.evaluators() }),
})
