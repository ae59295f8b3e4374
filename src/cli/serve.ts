import type { Config } from '../config.ts'
import { start } from '../main.ts'
import type { Logger } from '../telemetry/log.ts'

/** Serves until SIGINT or SIGTERM; a second one ends it at once. */
export async function serve(config: Config, log: Logger): Promise<void> {
  // Listened for before the server is ready: whoever waits for that may end it at once.
  const starting = new AbortController()
  const signal = new Promise<string>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, resolve)
  })
  const stopping = signal.then(() => starting.abort())
  const running = await start(config, log, starting.signal)
  await stopping
  log.info({ signal: await signal }, 'stopping')
  await running.stop()
}
