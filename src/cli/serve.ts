import type { Command } from 'commander'
import { configWarnings, readConfig, type Config } from '../config.ts'
import { secretsOf } from '../config/secrets.ts'
import { start } from '../main.ts'
import { createLog, type Logger } from '../telemetry/log.ts'
import { createRedactor, wholeLines } from '../text/redact.ts'

export const setUp = (serving: Command): void => {
  serving.action(async () => {
    const secrets = secretsOf(process.env)
    const config = readConfig(process.env)
    const log = createLog(config.NIXERY_LOG_LEVEL, createRedactor(secrets, wholeLines))
    for (const line of configWarnings(process.env)) log.warn(line)
    await serve(config, log, secrets)
  })
}

/**
 * Serves until SIGINT or SIGTERM; a second one ends it at once. SIGHUP, which would end a process by default, makes it
 * look for a new TLS certificate, and does nothing without TLS.
 */
async function serve(config: Config, log: Logger, secrets: readonly string[]): Promise<void> {
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
