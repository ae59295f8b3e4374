import { join } from 'node:path'
import type { Config } from '../config.ts'
import { start } from '../main.ts'
import type { Logger } from '../telemetry/log.ts'

/** Serves until SIGINT or SIGTERM; a second one ends it at once. */
export async function serve(config: Config, log: Logger): Promise<void> {
  const packageSet = config.NIXERY_PKGS_PATH ?? (await demoPackageSet(config, log))
  // Listened for before the server is ready: whoever waits for that may end it at once.
  const signal = new Promise<string>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, resolve)
  })
  const running = await start(config, packageSet, log)
  log.info({ signal: await signal }, 'stopping')
  await running.stop()
}

/** With nothing configured there is still something to pull. */
async function demoPackageSet(config: Config, log: Logger): Promise<string> {
  log.info('no package set is configured: serving the demo packages, made from Debian’s')
  log.info('for all of nixpkgs, set NIXERY_PKGS_PATH to a checkout of it')
  const { ensureDemoPackageSet } = await import('../../demo/package-set.ts')
  return ensureDemoPackageSet({
    directory: join(config.NIXERY_DATA, 'demo'),
    cacheDirectory: config.NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: (line) => log.info(line),
  })
}
