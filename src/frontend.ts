import { openAccounting, quotasOf } from './accounting.ts'
import { openAdmin, type AdminDeps } from './admin.ts'
import { createHoldings } from './builds/holdings.ts'
import type { Builds, WorkerStatus } from './builds/builds.ts'
import type { Config } from './config.ts'
import { namedSets, platformsBySet, vocabularyOf } from './config/set-config.ts'
import { openGate } from './gate.ts'
import { createAddressOf, createClientOf, type RequestAddress } from './http/address.ts'
import { createApp } from './http/app.ts'
import { schemeOf } from './http/challenge.ts'
import { boundConnections, openFilesOf } from './http/open-files.ts'
import { createOps } from './http/ops.ts'
import { createRecipeContents } from './http/recipe-contents.ts'
import { createRoutes } from './http/route.ts'
import { listen } from './http/server.ts'
import { withoutHidden } from './http/suggestions.ts'
import { createStreams } from './http/streams.ts'
import { createTokenRoute } from './http/token.ts'
import { createWaiting } from './http/waiting.ts'
import { digestOf } from './image/digest.ts'
import { platforms } from './image/platform.ts'
import type { Monitor } from './monitor.ts'
import { openPages, type FinderParts } from './pages.ts'
import { followTls, openTls } from './server-tls.ts'
import type { State } from './state.ts'
import { checkStore } from './store/check.ts'
import { logAccess, type Logger } from './telemetry/log.ts'
import { createLastScrub } from './upkeep/last-scrub.ts'
import { addressOfBuild } from './web/links.ts'
import { loginFor } from './web/login.ts'

/** Serves the registry and the pages: the part that needs neither Nix nor packing threads. */
export type Frontend = {
  readonly port: number
  readonly tls: boolean
  /** Checks whether the TLS certificate, or a file with users or rules, has changed. */
  reload(): Promise<void>
  /** Reports as not ready, lets responses finish for NIXERY_GRACE seconds, and then ends them. */
  close(): Promise<void>
}

export type FrontendDeps = {
  readonly state: State
  /** Builds images, in this process or in others. */
  readonly builds: Pick<Builds, 'known' | 'submit' | 'result' | 'cancel' | 'events'>
  readonly worker: WorkerStatus
  /** Finds packages, and describes images that do not exist yet; if workers run elsewhere, it has only the search. */
  readonly finder?: Partial<FinderParts> | undefined
  readonly monitor: Monitor
  readonly log: Logger
  readonly version: string
  /** Whether it is being drained, although it still serves. */
  readonly isDraining?: () => boolean
  /** The processes that share a database, if there is one. */
  readonly overview?: AdminDeps['overview']
}

/** Starts listening. @throws CONFIG_INVALID, SETUP_FAILED */
export async function openFrontend(config: Config, deps: FrontendDeps): Promise<Frontend> {
  const { state, builds, worker, monitor, log } = deps
  const { metrics, texts, tracedRequests } = monitor
  const tls = await openTls(config)
  const defaults = config.NIXERY_PLATFORMS.map((name) => platforms[name])
  const streams = streamsOf(config)
  const clientOf = createClientOf(config.NIXERY_TRUSTED_PROXIES)
  const addressOf = createAddressOf(clientOf)
  const requestAddress: RequestAddress = (request) =>
    addressOf(request.peer(), request.header('x-forwarded-for'))
  const { redactor } = monitor
  const warn = (line: string) => log.warn(line)
  const accounting = await openAccounting(config, { addressOf, redactor, warn })
  const { audit } = accounting
  const gate = await openGate(config, {
    log,
    apiKeys: state.catalog.apiKeys,
    logouts: state.catalog.logouts,
    contents: createRecipeContents({
      find: (request, mayEvaluate) => worker.recipePackages(request, mayEvaluate),
      bare: config.NIXERY_RECIPE_NAMES === 'bare',
    }),
    onChange: (change) => audit?.({ event: 'policy', ...change }),
  })
  const ledger = state.catalog.quotaUses
  const quotas = quotasOf(config, { addressOf, ledger, ofPolicy: gate.quotaOf, warn })
  let closing = false
  const stop = new AbortController()
  const { check } = worker
  const setChecks = (check ? worker.packages : []).map(
    ({ set }) =>
      [set === undefined ? 'packages' : `packages ${set}`, async () => check?.('packages', set)] as const,
  )
  const ops = createOps({
    checks: {
      store: () => checkStore(state.store),
      catalog: () => state.catalog.blobSize(digestOf(new Uint8Array())),
      ...(check && { nix: () => check('nix') }),
      ...Object.fromEntries(setChecks),
    },
    // A broken package set must not stop the others.
    showAlternatives: gate.guard === undefined,
    alternatives: new Set(setChecks.map(([name]) => name)),
    // All front ends share the store: if they all became unready, the images in their memory could not be served either.
    ...(isStoreShared(config) && { unnecessary: new Set(['store']) }),
    isStopping: () => closing || deps.isDraining?.() === true,
    metrics: metrics.read,
    onChange: (line, failure) => (failure === undefined ? log.info(line) : log.warn({ err: failure }, line)),
  })
  const isWorker = config.NIXERY_ROLE === 'worker'
  const hasPages = config.NIXERY_PAGES !== 'off' && !isWorker
  const waiting = createWaiting({
    maxWait: config.NIXERY_MAX_WAIT,
    secure: tls !== undefined,
    page: hasPages ? addressOfBuild : undefined,
    texts,
  })
  const logEntry = logAccess(log, monitor.redactor)
  const routeOf = createRoutes(vocabularyOf(config))
  const { may, issuer } = gate
  const warnOfAdmin = (err: unknown) => log.warn({ err }, 'a part of the admin page cannot be shown')
  const ofAdmin = { quotas, rules: gate.quotaRules, stopping: stop.signal, warn: warnOfAdmin }
  const app = createApp({
    pages: openPages(
      config,
      {
        ...deps,
        stopping: stop.signal,
        addressOf: requestAddress,
        admin: () => openAdmin(config, { ...deps, ...ofAdmin, environment: process.env }),
        warn: warnOfAdmin,
      },
      gate,
      { quotas, audit },
    ),
    ...(hasPages && {
      loginFor: gate.login && loginFor,
      pageOf: (...failure) => monitor.links.pageOf(...failure),
    }),
    secure: tls !== undefined,
    opsAlone: isWorker,
    builds,
    routeOf,
    store: state.store,
    blobs: state.blobs,
    source: worker,
    platforms: defaults,
    platformsOf: namedSets(config) && platformsBySet(config),
    pulled: state.catalog,
    onUse: state.uses.noteManifest,
    listNames: config.NIXERY_CATALOG === 'on',
    sendfile: config.NIXERY_SENDFILE,
    texts,
    may,
    tokens: issuer && createTokenRoute({ ...issuer, addressOf: requestAddress, may, routeOf, quotas, audit }),
    guard: gate.guard,
    addressOf: requestAddress,
    prepare: gate.prepare,
    ...(gate.guard && {
      holdings: createHoldings(state.catalog),
      shown: ({ identity }, error) =>
        withoutHidden(error, (imageRequest) => may(identity, 'pull', { imageRequest }), vocabularyOf(config)),
      mayBuild: ({ identity }, imageRequest) => may(identity, 'build', { imageRequest }),
    }),
    ops,
    streams,
    clientOf,
    quotas,
    audit,
    waiting,
    onRequest:
      tracedRequests && ((request) => tracedRequests.begin(request, schemeOf(request, tls !== undefined))),
    listener(entry) {
      logEntry(entry)
      metrics.onRequest(entry)
      tracedRequests?.end(entry)
    },
  })
  const limits = { minRate: config.NIXERY_MIN_RATE, maxConnections: connectionsFor(config, log) }
  const server = await listen(app, {
    host: config.NIXERY_HOST,
    port: config.PORT,
    limits,
    // What a proxy forwards is known later: its connections are not limited.
    clientOf: (peer) => clientOf(peer, undefined),
    ...(tls && { tls: tls.pair }),
  })
  metrics.watch({
    traffic: () => server.traffic(),
    builds: {
      get queued() {
        return worker.load().queued
      },
      queuedBy: () => worker.load().queuedBy,
    },
    streams,
    evaluators: () => worker.load().evaluators,
    revisions: () => worker.load().revisions,
    scrub: createLastScrub(state.catalog.upkeep),
  })
  const watch = tls && followTls(tls, server, log)
  return {
    port: server.port,
    tls: tls !== undefined,
    async reload() {
      await Promise.all([watch?.look(), gate.look()])
    },
    async close() {
      closing = true
      stop.abort()
      await server.close(config.NIXERY_GRACE)
      watch?.stop()
      gate.close()
      await quotas?.flush()
      await accounting.close()
    },
  }
}

/** Whether all servers use the same store, so that its failure is no reason to prefer another server. */
const isStoreShared = ({ NIXERY_ROLE: role, NIXERY_STORAGE_BACKEND: backend }: Config): boolean =>
  role === 'front' || (role === 'all' && backend !== 'filesystem')

function streamsOf({ NIXERY_MAX_STREAMS: most, NIXERY_STREAMS_PER_ADDRESS: share }: Config) {
  return createStreams(most, share ?? Math.ceil(most / 4))
}

/** The configured number of connections, or fewer if the process may not open that many files. */
function connectionsFor(
  { NIXERY_MAX_CONNECTIONS: wanted, NIXERY_MAX_STREAMS: streams }: Config,
  log: Logger,
): number {
  const files = openFilesOf()
  const connections = files ? boundConnections(wanted, { ...files, streams }) : wanted
  if (files && connections < wanted) {
    log.warn(`${files.limit} files may be open at once, so at most ${connections} connections are accepted`)
  }
  return connections
}
