import packageFile from '../package.json' with { type: 'json' }
import type { SetStatus } from './builds/builds.ts'
import { createWarmer } from './builds/warmer.ts'
import { cleanupOf } from './cleanup.ts'
import type { Config } from './config.ts'
import { platformsBySet, vocabularyOf } from './config/set-config.ts'
import { openFrontend } from './frontend.ts'
import { parseImageReference } from './image/name.ts'
import { platforms } from './image/platform.ts'
import { createMonitor } from './monitor.ts'
import { openState } from './state.ts'
import type { Logger } from './telemetry/log.ts'
import { openWorker } from './worker.ts'

/** A registry that serves. */
export type Running = {
  readonly port: number
  /** Looks whether the TLS certificate, or a file that says who may do what, has changed. */
  reload(): Promise<void>
  /** Begins no more builds, lets running answers finish for some seconds, then ends. */
  stop(): Promise<void>
}

const { version } = packageFile
// Seconds from one look at the package set to the next, for images that are to be ready.
const warmInterval = 300

const describe = ({ set, description }: SetStatus): string =>
  set === undefined ? description : `${set}: ${description}`

/**
 * Starts a whole registry in this process: a front end and a worker over one state.
 * @param options.secrets values that must not be seen
 * @param options.signal ends starting, such as making the demo packages
 * @throws CONFIG_INVALID, NIX_UNAVAILABLE, STORE_UNAVAILABLE, STORE_FULL, SETUP_FAILED, CANCELLED
 */
export async function start(
  config: Config,
  log: Logger,
  { secrets, signal }: { secrets: readonly string[]; signal?: AbortSignal },
): Promise<Running> {
  const note = (line: string) => log.info(line)
  const warn = (line: string) => log.warn(line)
  // Once it serves, what runs is to finish: `stop` bounds it.
  const starting = new AbortController()
  const abandon = () => starting.abort()
  signal?.addEventListener('abort', abandon)
  const monitor = createMonitor(config, { log, secrets, version })
  const defaults = config.NIXERY_PLATFORMS.map((name) => platforms[name])
  const state = await openState(config, { warn })
  const worker = await openWorker(config, state, {
    listener: monitor.onBuild,
    prepare: defaults[0],
    onRemembered: () => monitor.metrics.hit('image'),
    note,
    warn,
    signal: starting.signal,
  })
  const close = async () => {
    await worker.close()
    await state.close()
  }
  const { builds, status } = worker
  const frontend = await openFrontend(config, { state, builds, worker: status, monitor, log, version }).catch(
    async (error: unknown) => {
      await close()
      throw error
    },
  )
  const vocabulary = vocabularyOf(config)
  const warmer = createWarmer({
    builds,
    sets: worker.sets,
    vocabulary,
    catalog: state.catalog,
    names: config.NIXERY_WARM.map((name) => parseImageReference(name, vocabulary)),
    top: config.NIXERY_WARM_TOP,
    platformsOf: platformsBySet(config),
    every: warmInterval,
    onUse: (digest) => state.uses.noteManifest(digest),
    warn,
  })
  const cleanup = cleanupOf(config, state, log)
  warmer.start()
  cleanup.start()
  signal?.removeEventListener('abort', abandon)
  const isReady = await worker.usable()
  log[isReady ? 'info' : 'warn'](
    {
      host: config.NIXERY_HOST,
      port: frontend.port,
      ...(frontend.tls && { tls: true }),
      nix: status.nixVersion,
      packages: status.packages.map(describe).join('; '),
      store: config.NIXERY_STORAGE_BACKEND,
    },
    isReady ? 'ready' : 'started, but not ready: the package set cannot be used',
  )
  return {
    port: frontend.port,
    reload: () => frontend.reload(),
    async stop() {
      warmer.stop()
      builds.drain()
      starting.abort() // nobody waits for Nix any more
      await frontend.close()
      await cleanup.stop()
      await close()
    },
  }
}
