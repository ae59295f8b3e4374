import type { Config } from '../config.ts'
import { start } from '../main.ts'
import type { Logger } from '../telemetry/log.ts'

/**
 * Serves until SIGINT or SIGTERM; a second one ends it at once. SIGHUP, which would end a process by default, makes it
 * look for a new TLS certificate, and does nothing without TLS.
 */
export async function serve(config: Config, log: Logger, secrets: readonly string[]): Promise<void> {
  // Listened for before the server is ready: whoever waits for that may end it at once.
  const stopping = new AbortController()
  const stopped = Promise.withResolvers<void>()
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(1)
    log.info({ signal }, 'stopping')
    stopping.abort()
    stopped.resolve()
  }
  // Not `once`: a process that has no listener left is ended by those who clean up behind child processes.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal)
  let reload: (() => Promise<void>) | undefined
  process.on('SIGHUP', () => void reload?.())
  const running = await start(config, log, { secrets, signal: stopping.signal })
  reload = running.reload
  await stopped.promise
  await running.stop()
  process.exitCode = 0
}
