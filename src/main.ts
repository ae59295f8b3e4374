import packageFile from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { createApp } from './http/app.ts'
import { listen } from './http/server.ts'
import { platforms } from './image/platform.ts'
import { logAnswers, logBuilds, type Logger } from './telemetry/log.ts'
import { describeSource } from './web/describe.ts'
import { createHistory } from './web/history.ts'
import { redact } from './web/redact.ts'
import { createWeb } from './web/web.ts'
import { openWorkshop } from './workshop.ts'

/** A registry that serves. */
export type Running = {
  readonly port: number
  /** Lets running answers finish for some seconds, then ends. */
  stop(): Promise<void>
}

const { version } = packageFile
const graceSeconds = 10

/**
 * Puts the server together and starts to listen.
 * @param signal ends starting, such as making the demo packages
 * @throws CONFIG_INVALID, NIX_UNAVAILABLE, STORE_UNAVAILABLE, STORE_FULL, SETUP_FAILED, CANCELLED
 */
export async function start(config: Config, log: Logger, signal?: AbortSignal): Promise<Running> {
  // Once it serves, what runs is to finish: `stop` bounds it.
  const starting = new AbortController()
  const abandon = () => starting.abort()
  signal?.addEventListener('abort', abandon)
  const history = createHistory({ builds: 50, linesPerBuild: 500 })
  const toLog = logBuilds(log)
  const workshop = await openWorkshop(config, {
    listener(build, event) {
      toLog(build, event)
      history.listener(build, event)
    },
    note: (line) => log.info(line),
    warn: (line) => log.warn(line),
    signal: starting.signal,
  })
  const defaults = config.NIXERY_PLATFORMS.map((name) => platforms[name])
  const pages = createWeb({
    history,
    describe: describeSource(workshop.source),
    version,
    platforms: defaults,
  })
  const app = createApp({
    pages,
    ...workshop,
    platforms: defaults,
    listener: logAnswers(log),
  })
  const server = await listen(app, config.NIXERY_HOST, config.PORT)
  signal?.removeEventListener('abort', abandon)
  log.info(
    {
      host: config.NIXERY_HOST,
      port: server.port,
      nix: workshop.nixVersion,
      packages: redact(workshop.source.description),
      store: config.NIXERY_STORAGE_BACKEND,
    },
    'ready',
  )
  return {
    port: server.port,
    async stop() {
      await server.close(graceSeconds)
      await workshop.close()
    },
  }
}
