import type { BuildListener } from './builds/events.ts'
import { catalogFile } from './catalogs.ts'
import type { Config } from './config.ts'
import { serverFolders } from './config/server-folders.ts'
import { logBuilds, type Logger } from './telemetry/log.ts'
import type { DiskPlaces } from './telemetry/disk-stats.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import type { Tracing } from './telemetry/tracing.ts'
import { createPublicTexts, type PublicTexts } from './text/public.ts'
import { createRedactor, type Redactor } from './text/redact.ts'
import { createHistory, type History } from './web/history.ts'
import { createBuildLinks, type BuildLinks } from './web/links.ts'

/** What a server observes of its builds: for the log, the metrics and the pages. */
export type Monitor = {
  readonly redactor: Redactor
  readonly texts: PublicTexts
  readonly metrics: Metrics
  readonly history: History
  readonly links: BuildLinks
  /** For spans of requests; undefined if there are no traces. */
  readonly tracedRequests: Tracing['requests'] | undefined
  /** For builds of this process: log, metrics and history. */
  readonly onBuild: BuildListener
  /** For builds whose history is in a database: log and metrics. */
  readonly onWork: BuildListener
}

export type MonitorOptions = {
  readonly log: Logger
  /** Values that must not be seen. */
  readonly secrets: readonly string[]
  readonly version: string
  readonly tracing?: Pick<Tracing, 'onBuild' | 'requests'> | undefined
}

export function createMonitor(config: Config, { log, secrets, version, tracing }: MonitorOptions): Monitor {
  const redactor = createRedactor(secrets)
  const texts = createPublicTexts({
    redactor,
    folders: serverFolders(config),
    showTraces: config.NIXERY_SHOW_TRACES === 'on',
  })
  const metrics = createMetrics(version, diskPlaces(config))
  const history = createHistory({ builds: 50, linesPerBuild: 500, texts })
  const links = createBuildLinks()
  const toLog = logBuilds(log, redactor)
  const onWork: BuildListener = (build, event) => {
    toLog(build, event)
    metrics.onBuild(build, event)
    tracing?.onBuild(build, event)
  }
  return {
    redactor,
    texts,
    metrics,
    history,
    links,
    tracedRequests: tracing?.requests,
    onBuild(build, event) {
      onWork(build, event)
      history.listener(build, event)
      if (event.type === 'failed') links.note(build, event.error)
    },
    onWork,
  }
}

/** Where the server and Nix write. */
export function diskPlaces(config: Config): DiskPlaces {
  const { NIXERY_DATA, NIXERY_STORAGE_BACKEND, STORAGE_PATH, NIXERY_DATABASE_URL } = config
  return {
    folders: [
      ['data', NIXERY_DATA],
      ...(NIXERY_STORAGE_BACKEND === 'filesystem' ? [['blobs', STORAGE_PATH] as const] : []),
      ['nix', '/nix/store'],
    ],
    catalog: NIXERY_DATABASE_URL === undefined ? catalogFile(config) : undefined,
  }
}
