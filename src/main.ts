import packageFile from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { serverFolders } from './config/server-folders.ts'
import { allowAll } from './access/may.ts'
import { createWarmer } from './builds/warm.ts'
import { createClientOf } from './http/address.ts'
import { createApp } from './http/app.ts'
import { createOps } from './http/ops.ts'
import { boundConnections, openFilesOf } from './http/open-files.ts'
import { listen, type Listening } from './http/server.ts'
import { createStreams } from './http/streams.ts'
import { readTls, watchTls, type TlsPair, type TlsWatch } from './http/tls.ts'
import { createWaiting } from './http/waiting.ts'
import { digestOf, type Digest } from './image/digest.ts'
import { parseImageReference } from './image/name.ts'
import { platforms } from './image/platform.ts'
import { checkStore } from './store/check.ts'
import { logAccess, logBuilds, type Logger } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { createPublicTexts } from './text/public.ts'
import { createRedactor } from './text/redact.ts'
import { describeSource } from './web/describe.ts'
import { createHistory } from './web/history.ts'
import { addressOfBuild, createBuildLinks } from './web/links.ts'
import { collect, collectRows, OtherGc } from './upkeep/gc.ts'
import { createUpkeep, type Upkeep } from './upkeep/schedule.ts'
import { createWeb } from './web/web.ts'
import { openWorkshop, type Workshop } from './workshop.ts'

/** A registry that serves. */
export type Running = {
  readonly port: number
  /** Looks whether there is another TLS certificate; for a server that has one. */
  readonly reload: (() => Promise<void>) | undefined
  /** Begins no more builds, lets running answers finish for some seconds, then ends. */
  stop(): Promise<void>
}

const { version } = packageFile
// Milliseconds from one look at the TLS certificate to the next.
const certificateInterval = 5_000
// Seconds from one look at the package set to the next, for images that are to be ready.
const warmInterval = 300

/**
 * Puts the server together and starts to listen.
 * @param options.secrets values that must not be seen
 * @param options.signal ends starting, such as making the demo packages
 * @throws CONFIG_INVALID, NIX_UNAVAILABLE, STORE_UNAVAILABLE, STORE_FULL, SETUP_FAILED, CANCELLED
 */
export async function start(
  config: Config,
  log: Logger,
  { secrets, signal }: { secrets: readonly string[]; signal?: AbortSignal },
): Promise<Running> {
  const redactor = createRedactor(secrets)
  const texts = createPublicTexts({
    redactor,
    folders: serverFolders(config),
    showTraces: config.NIXERY_SHOW_TRACES === 'on',
  })
  const tls = await openTls(config)
  const metrics = createMetrics(version)
  // Once it serves, what runs is to finish: `stop` bounds it.
  const starting = new AbortController()
  const abandon = () => starting.abort()
  signal?.addEventListener('abort', abandon)
  const history = createHistory({ builds: 50, linesPerBuild: 500, texts })
  const links = createBuildLinks()
  const toLog = logBuilds(log, redactor)
  const defaults = config.NIXERY_PLATFORMS.map((name) => platforms[name])
  const workshop = await openWorkshop(config, {
    listener(build, event) {
      toLog(build, event)
      history.listener(build, event)
      if (event.type === 'failed') links.note(build, event.error)
      metrics.onBuild(build, event)
    },
    prepare: defaults[0],
    onRemembered: () => metrics.hit('image'),
    note: (line) => log.info(line),
    warn: (line) => log.warn(line),
    signal: starting.signal,
  })
  const hasPages = config.NIXERY_PAGES !== 'off'
  const pages = createWeb({
    listBuilds: config.NIXERY_PAGES === 'full',
    showNames: config.NIXERY_PAGES === 'full' || config.NIXERY_CATALOG === 'on',
    history,
    describe: describeSource(workshop.source, texts),
    version,
    platforms: defaults,
  })
  let stopping = false
  const ops = createOps({
    checks: {
      store: () => checkStore(workshop.store),
      catalog: () => workshop.catalog.blobSize(digestOf(new Uint8Array())),
      nix: () => workshop.nix.version(),
      packages: () => workshop.source.usable(),
    },
    isStopping: () => stopping,
    metrics: metrics.read,
    onChange: (line, failure) => (failure === undefined ? log.info(line) : log.warn({ err: failure }, line)),
  })
  const { NIXERY_MAX_STREAMS: maxStreams } = config
  const share = config.NIXERY_STREAMS_PER_ADDRESS ?? Math.ceil(maxStreams / 4)
  const streams = createStreams(maxStreams, share)
  const waiting = createWaiting({
    maxWait: config.NIXERY_MAX_WAIT,
    secure: tls !== undefined,
    page: hasPages ? addressOfBuild : undefined,
    texts,
  })
  const logEntry = logAccess(log, redactor)
  const app = createApp({
    ...(hasPages && { pages, pageOf: (...asked) => links.pageOf(...asked) }),
    secure: tls !== undefined,
    ...workshop,
    platforms: defaults,
    pulled: workshop.catalog,
    onUse: (digest) => workshop.uses.noteManifest(digest),
    listNames: config.NIXERY_CATALOG === 'on',
    sendfile: config.NIXERY_SENDFILE,
    texts,
    may: allowAll,
    ops,
    streams,
    clientOf: createClientOf(config.NIXERY_TRUSTED_PROXIES),
    waiting,
    listener(entry) {
      logEntry(entry)
      metrics.onRequest(entry)
    },
  })
  const warmer = createWarmer({
    ...workshop,
    names: config.NIXERY_WARM.map(parseImageReference),
    top: config.NIXERY_WARM_TOP,
    platforms: defaults,
    every: warmInterval,
    onUse: (digest) => workshop.uses.noteManifest(digest),
    warn: (line) => log.warn(line),
  })
  const upkeep = upkeepOf(config, workshop, log)
  const limits = { minRate: config.NIXERY_MIN_RATE, maxConnections: connectionsFor(config, log) }
  const address = { host: config.NIXERY_HOST, port: config.PORT, limits, ...(tls && { tls: tls.pair }) }
  const server = await listen(app, address).catch(async (error: unknown) => {
    await workshop.close()
    throw error
  })
  metrics.watch({
    traffic: () => server.traffic(),
    builds: workshop.builds,
    streams,
    evaluators: () => workshop.nix.evaluators(),
  })
  const watch = tls && followTls(tls, server, log)
  warmer.start()
  upkeep.start()
  signal?.removeEventListener('abort', abandon)
  log.info(
    {
      host: config.NIXERY_HOST,
      port: server.port,
      ...(tls && { tls: true }),
      nix: workshop.nixVersion,
      packages: workshop.source.description,
      store: config.NIXERY_STORAGE_BACKEND,
    },
    'ready',
  )
  return {
    port: server.port,
    reload: watch && (() => watch.look()),
    async stop() {
      stopping = true
      warmer.stop()
      workshop.builds.drain()
      starting.abort() // nobody waits for Nix any more
      await server.close(config.NIXERY_GRACE)
      watch?.stop()
      await upkeep.stop()
      await workshop.close()
    },
  }
}

/** As many connections as are configured, unless the process may not open that many files. */
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

/**
 * Cleaning up from time to time. Images and blobs go only if a setting says so; what the catalog has not used for long
 * goes in any case, because it can be found out again.
 */
function upkeepOf(config: Config, { catalog, store, uses, blobs }: Workshop, log: Logger): Upkeep {
  const { NIXERY_KEEP: keepDays, NIXERY_STORE_LIMIT: sizeLimit, NIXERY_CATALOG_KEEP: rowDays } = config
  const interval = config.NIXERY_GC_INTERVAL
  const failed = (error: unknown) =>
    error instanceof OtherGc
      ? log.info('another process is cleaning up')
      : log.error({ err: error }, 'cleaning up failed')
  if (keepDays === undefined && sizeLimit === undefined) {
    return createUpkeep({
      interval,
      collect: ({ now, signal }) => collectRows(catalog, { days: rowDays, now, signal }),
      done(forgotten, ms) {
        if (forgotten.resolutions + forgotten.paths === 0) return
        log.info({ forgotten, ms: Math.round(ms) }, 'forgot what was not used')
      },
      failed,
    })
  }
  const deleting = (digest: Digest) => void blobs.doubt(digest)
  return createUpkeep({
    interval,
    collect: (options) =>
      collect({ catalog, store, uses, deleting }, { ...options, keepDays, sizeLimit, rowDays }),
    done: ({ images, blobs: gone, forgotten }, ms) =>
      log.info(
        { images: images.length, blobs: gone.count, bytes: gone.size, forgotten, ms: Math.round(ms) },
        'cleaned up',
      ),
    failed,
  })
}

type Tls = { readonly files: { readonly cert: string; readonly key: string }; readonly pair: TlsPair }

async function openTls({ NIXERY_TLS_CERT: cert, NIXERY_TLS_KEY: key }: Config): Promise<Tls | undefined> {
  if (cert === undefined || key === undefined) return undefined
  const files = { cert, key }
  return { files, pair: await readTls(files) }
}

const followTls = ({ files, pair }: Tls, server: Listening, log: Logger): TlsWatch =>
  watchTls(files, {
    pair,
    every: certificateInterval,
    use: (found) => server.setTls(found),
    note: (line) => log.info(line),
    warn: (line) => log.warn(line),
  })
