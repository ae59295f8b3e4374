import { join } from 'node:path'
import { createBlobs } from './build/blobs.ts'
import { createBuilder } from './build/build.ts'
import { openSqliteCatalog } from './catalog/sqlite.ts'
import { noPopularity } from './closure/popularity.ts'
import type { Config } from './config.ts'
import { createApp } from './http/app.ts'
import { listen } from './http/server.ts'
import { createPacker } from './layers/pack.ts'
import { createNix } from './nix/nix.ts'
import { pathSource } from './packages/path.ts'
import { openFileStore } from './store/fs.ts'
import { logAnswers, logBuilds, type Logger } from './telemetry/log.ts'

/** A registry that serves. */
export type Running = {
  readonly port: number
  /** Lets running answers finish for some seconds, then ends. */
  stop(): Promise<void>
}

// A folder's fingerprint is taken at most so often (ms).
const fingerprintTtl = 5_000
const graceSeconds = 10

/**
 * The composition root: makes every part from the configuration and starts to listen.
 * @param packageSet the folder of the package set
 * @throws CONFIG_INVALID, NIX_UNAVAILABLE, STORE_UNAVAILABLE, STORE_FULL
 */
export async function start(config: Config, packageSet: string, log: Logger): Promise<Running> {
  const nix = createNix({
    rootsDirectory: join(config.NIXERY_DATA, 'gcroots'),
    builderTimeout: config.NIX_TIMEOUT,
    buildTimeout: config.NIXERY_BUILD_TIMEOUT,
    evalTimeout: config.NIXERY_EVAL_TIMEOUT,
    concurrency: config.NIXERY_NIX_JOBS,
    note: (line) => log.info(line),
  })
  const nixVersion = await nix.version()
  const store = await openFileStore(config.STORAGE_PATH)
  const catalog = await openSqliteCatalog(join(config.NIXERY_DATA, 'catalog.db'))
  const packer = createPacker(store.spoolDirectory)
  const blobs = createBlobs(store, catalog)
  const source = pathSource(packageSet, { ttl: fingerprintTtl, tags: config.NIXERY_TAGS })
  const builder = createBuilder({
    source,
    nix,
    catalog,
    blobs,
    packer,
    layering: { strategy: 'nixery', popularity: noPopularity, maxLayers: config.NIXERY_MAX_LAYERS },
    listener: logBuilds(log),
  })
  const app = createApp({ builder, blobs, store, listener: logAnswers(log) })
  const server = await listen(app, config.NIXERY_HOST, config.PORT)
  log.info(
    {
      host: config.NIXERY_HOST,
      port: server.port,
      nix: nixVersion,
      packages: source.description,
      store: config.STORAGE_PATH,
    },
    'ready',
  )
  return {
    port: server.port,
    async stop() {
      await server.close(graceSeconds)
      await packer.close()
      await catalog.close()
    },
  }
}
