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
 * Serves until SIGINT or SIGTERM; a second signal ends the process immediately. SIGHUP checks at once whether the TLS
 * certificate or a file with access rules has changed.
 */
async function serve(config: Config, log: Logger, secrets: readonly string[]): Promise<void> {
  // Installed before the server is ready: it may be stopped as soon as it reports that it is.
  const stopping = new AbortController()
  const stopped = Promise.withResolvers<void>()
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(1)
    log.info({ signal }, 'stopping')
    stopping.abort()
    stopped.resolve()
  }
  // Not `once`: execa uses signal-exit, which ends a process that has no other listeners left.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal)
  let reload: (() => Promise<void>) | undefined
  process.on('SIGHUP', () => void reload?.())
  const running = await start(config, log, { secrets, signal: stopping.signal })
  reload = () => running.reload()
  await stopped.promise
  await running.stop()
  process.exitCode = 0
}
