import packageFile from '../package.json' with { type: 'json' }
import type { SetStatus } from './builds/builds.ts'
import { factsOfBuilds, factsOfServing } from './shared-settings.ts'
import type { Config } from './config.ts'
import { startDuties } from './duties.ts'
import { openFleet, type Fleet } from './fleet.ts'
import { openFrontend } from './frontend.ts'
import { checkGateFiles } from './gate.ts'
import { platforms } from './image/platform.ts'
import { createMonitor, type Monitor } from './monitor.ts'
import { openTls } from './server-tls.ts'
import { openState, type State } from './state.ts'
import type { Logger } from './telemetry/log.ts'
import { openTracing } from './telemetry/tracing.ts'
import { openFrontSearch } from './shared-search.ts'
import { createRedactor } from './text/redact.ts'
import { startInfo } from './start-info.ts'
import type { Worker } from './worker.ts'

/** A running registry. */
export type Running = {
  readonly port: number
  /** Checks whether the TLS certificate, or a file with users or rules, has changed. */
  reload(): Promise<void>
  /** Starts no more builds, lets responses finish for some seconds, then stops. */
  stop(): Promise<void>
}

const { version } = packageFile

const describe = ({ set, description }: SetStatus): string =>
  set === undefined ? description : `${set}: ${description}`

/**
 * Starts the configured role: a front end, a worker, or both with one state.
 * @param options.secrets values that must be hidden
 * @param options.signal aborts the start, such as generating the demo packages
 * @throws CONFIG_INVALID, NIX_UNAVAILABLE, STORE_UNAVAILABLE, STORE_FULL, SETUP_FAILED, CANCELLED
 */
export async function start(
  config: Config,
  log: Logger,
  { secrets, signal }: { secrets: readonly string[]; signal?: AbortSignal },
): Promise<Running> {
  const warn = (line: string) => log.warn(line)
  const role = config.NIXERY_ROLE
  // An invalid file is reported before anything slow, such as building the demo packages.
  await Promise.all([openTls(config), checkGateFiles(config)])
  // Once it serves, running work may finish; `stop` limits it.
  const starting = new AbortController()
  const abandon = () => starting.abort()
  signal?.addEventListener('abort', abandon)
  const tracing = await openTracing({
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    headers: config.OTEL_EXPORTER_OTLP_HEADERS,
    service: config.OTEL_SERVICE_NAME,
    version,
    redactor: createRedactor(secrets),
    warn,
  })
  const monitor = createMonitor(config, { log, secrets, version, tracing })
  const state = await openState(config, { warn })
  const fleet = await openFleetOf(config, state, monitor, log)
  const worker =
    role === 'front' ? undefined : await openOwnWorker(config, { state, monitor, fleet, log, starting })
  const builds = fleet?.builds ?? worker?.builds
  const status = worker?.status ?? fleet?.status()
  if (!builds || !status) throw new Error('a front end needs a database')
  const member = await fleet?.join(
    async () => ({
      builds: worker && (await factsOfBuilds(config, worker)),
      serves: role === 'worker' ? undefined : await factsOfServing(config),
    }),
    (names) => {
      if (names.includes('NIX_POPULARITY_URL')) worker?.refreshPopularity()
    },
  )
  const features = fleet && (await worker?.nix.systemFeatures())
  const loop = worker && fleet?.work({ ...worker, features: features ?? [] })
  const lines = { note: (line: string) => log.info(line), warn }
  const search = worker ? undefined : openFrontSearch(config, state, { ...lines, background: true })
  const close = async () => {
    await loop?.close()
    worker?.builds.drain()
    await search?.close()
    await worker?.close()
    await fleet?.close()
    await state.close()
    await tracing?.close()
  }
  const isDraining = () => member?.isDraining() ?? false
  const overview = fleet && (() => fleet.overview())
  const common = {
    state,
    builds,
    worker: status,
    finder: worker ?? { search },
    monitor,
    log,
    version,
    isDraining,
    overview,
  }
  const frontend = await openFrontend(config, common).catch(async (error: unknown) => {
    await close()
    throw error
  })
  const upkeep =
    worker &&
    startDuties(config, {
      state,
      worker,
      builds,
      mayMake: () => member?.mayBuild() ?? true,
      log,
      onCleanup: monitor.metrics.onCleanup,
    })
  signal?.removeEventListener('abort', abandon)
  const isReady = worker ? await worker.usable() : true
  log[isReady ? 'info' : 'warn'](
    {
      ...(role !== 'all' && { role }),
      host: config.NIXERY_HOST,
      port: frontend.port,
      ...(frontend.tls && { tls: true }),
      ...(worker && { nix: status.nixVersion, packages: status.packages.map(describe).join('; ') }),
      store: config.NIXERY_STORAGE_BACKEND,
      ...startInfo(config, { port: frontend.port, tls: frontend.tls, isReady }),
    },
    isReady ? 'ready' : 'started, but not ready: the package set cannot be used',
  )
  return {
    port: frontend.port,
    reload: () => frontend.reload(),
    async stop() {
      const upkeepEnded = upkeep?.stop()
      await loop?.close()
      builds.drain()
      worker?.builds.drain()
      starting.abort() // Nix is not needed any more
      await frontend.close()
      await upkeepEnded
      await close()
    },
  }
}

/** The state that this process shares with others through a database, if any. */
async function openFleetOf(
  config: Config,
  { postgres, listener, catalog, blobs, uses }: State,
  monitor: Monitor,
  log: Logger,
): Promise<Fleet | undefined> {
  if (!postgres || !listener) return undefined
  return openFleet(config, {
    postgres,
    listener,
    catalog,
    blobs,
    uses,
    version,
    redactor: monitor.redactor,
    traces: monitor.tracedRequests,
    onBuild: config.NIXERY_ROLE === 'worker' ? undefined : monitor.history.listener,
    onRemembered: () => monitor.metrics.hit('image'),
    onFailure: (build, error) => monitor.links.note(build, error),
    note: (line) => log.info(line),
    warn: (line) => log.warn(line),
  })
}

type OwnWorkerDeps = {
  readonly state: State
  readonly monitor: Monitor
  readonly fleet: Fleet | undefined
  readonly log: Logger
  readonly starting: AbortController
}

/** Loads Nix and the threads that pack only where they are needed. */
async function openOwnWorker(
  config: Config,
  { state, monitor, fleet, log, starting }: OwnWorkerDeps,
): Promise<Worker> {
  const { openWorker } = await import('./worker.ts')
  const [first] = config.NIXERY_PLATFORMS
  return openWorker(config, state, {
    listener: fleet ? monitor.onWork : monitor.onBuild,
    prepare: first && platforms[first],
    onRemembered: () => monitor.metrics.hit('image'),
    note: (line) => log.info(line),
    warn: (line) => log.warn(line),
    signal: starting.signal,
    ...(fleet && { forOthers: { fence: fleet.fence } }),
  })
}
