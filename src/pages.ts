import type { WorkerStatus } from './builds/builds.ts'
import { createPulledEstimates } from './builds/pulled-estimates.ts'
import type { Config } from './config.ts'
import { platformsBySet, vocabularyOf } from './config/set-config.ts'
import type { Gate } from './gate.ts'
import { originOf } from './http/challenge.ts'
import { loginLifetime, sessionLifetime } from './http/cookies.ts'
import type { HttpRequest } from './http/request.ts'
import type { RouteTable } from './http/route-table.ts'
import { parseImageName, type Vocabulary } from './image/name.ts'
import { platforms } from './image/platform.ts'
import type { Monitor } from './monitor.ts'
import { hasCode } from './errors.ts'
import type { Digest } from './image/digest.ts'
import type { State } from './state.ts'
import type { AdminDeps } from './web/admin/admin.ts'
import { anyImage, createApi } from './web/api.ts'
import type { Finder } from './web/compose.ts'
import { describeSource } from './web/describe.ts'
import type { LoginDeps } from './web/login.ts'
import { createWeb } from './web/web.ts'

/** The parts of a worker that find packages, and describe images that do not exist yet. */
export type FinderParts = Pick<Finder, 'search' | 'estimates' | 'versionsOf'>

export type PagesDeps = {
  readonly worker: WorkerStatus
  readonly finder?: Partial<FinderParts> | undefined
  readonly monitor: Monitor
  readonly state: Pick<State, 'catalog' | 'store'>
  readonly version: string
  /** Ends streams of events when the server stops. */
  readonly stopping: AbortSignal
  /** The address of a client. */
  readonly addressOf: (request: HttpRequest) => string | undefined
  /** What the admin page shows. */
  readonly admin: () => AdminDeps['source']
  readonly warn: (failure: unknown) => void
}

/** The pages for people, as far as they are configured, and the search for programs. */
export function openPages(
  config: Config,
  deps: PagesDeps,
  { guard, may, login }: Gate,
  counted: Pick<LoginDeps, 'quotas' | 'audit'>,
): RouteTable | undefined {
  const { worker, monitor, version, state } = deps
  const vocabulary = vocabularyOf(config)
  const showNames = config.NIXERY_PAGES === 'full' || config.NIXERY_CATALOG === 'on'
  const finder: Finder = {
    ...withoutSets(state, vocabulary),
    ...deps.finder,
    sets: worker.packages.map(({ set }) => set),
    platforms: platformsBySet(config)(undefined),
    vocabulary,
    showNames,
    ...(guard && {
      mayPull: ({ identity }, imageRequest) => may(identity, 'pull', { imageRequest }),
      mayEvaluate: ({ identity }) => may(identity, 'build', anyImage),
    }),
  }
  const api = createApi(finder)
  if (config.NIXERY_PAGES === 'off') return api
  const described = worker.packages.map((packages) => ({
    set: packages.set,
    describe: describeSource(packages, () => worker.revision(packages.set), monitor.texts),
  }))
  const pages = createWeb({
    listBuilds: config.NIXERY_PAGES === 'full',
    showNames,
    history: monitor.history,
    vocabulary,
    finder,
    images: { catalog: state.catalog, read: (digest) => readSmall(state.store, digest) },
    ...(guard && {
      maySee: ({ identity }, imageRequest) => may(identity, 'pull', { build: '', imageRequest }),
    }),
    admin: login && {
      source: deps.admin(),
      may: ({ identity }, action) => may(identity, action, 'server'),
      sessions: login.sessions,
      audit: counted.audit,
      warn: deps.warn,
    },
    login: login && {
      ...login,
      ...counted,
      originOf: (request) =>
        originOf(request, config.NIXERY_PUBLIC_URL, config.NIXERY_TLS_CERT !== undefined),
      sessionLifetime,
      loginLifetime,
    },
    stopping: deps.stopping,
    addressOf: deps.addressOf,
    describe: () => described.map(({ set, describe }) => ({ set, ...describe() })),
    version,
    platforms: config.NIXERY_PLATFORMS.map((name) => platforms[name]),
  })
  return (path) => api(path) ?? pages(path)
}

// The maximum size of an image's config in bytes; it lists every layer.
const largestConfig = 1_000_000

/** Reads a blob into memory; undefined if it is too large or missing. */
async function readSmall(store: State['store'], digest: Digest): Promise<Buffer | undefined> {
  const size = await store.stat(digest)
  if (size === undefined || size > largestConfig) return undefined
  try {
    return Buffer.concat(await (await store.read(digest)).toArray())
  } catch (error) {
    if (hasCode(error, 'BLOB_UNKNOWN')) return undefined
    throw error
  }
}

/** What a process without the package sets knows of images: those that were pulled. */
const withoutSets = ({ catalog }: PagesDeps['state'], vocabulary: Vocabulary): FinderParts => ({
  search: undefined,
  estimates: createPulledEstimates({
    catalog,
    parse: (name) => parseImageName(name, undefined, vocabulary),
  }),
  versionsOf: () => [],
})
