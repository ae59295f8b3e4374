import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { runDownloadKills } from '../test/reliability/download-kills.ts'
import { runKills } from '../test/reliability/kills.ts'
import { runMigrations } from '../test/reliability/migrations.ts'
import { runSlowGc } from '../test/reliability/slow-gc.ts'
import { runSeeded } from './seeded.ts'

await runSeeded({
  name: 'faults',
  options: {
    kills: ['number of servers to kill', '200'],
    migrations: ['number of processes to kill while they migrate a catalog', '100'],
    collections: ['number of garbage collections over a slow store', '50'],
    downloads: ['number of servers to kill during downloads from a binary cache', '20'],
  },
  programs: ['nix-store', 'libdeflate.so.0'],
  async run({ kills, migrations, collections, downloads }, { seed, say }) {
    const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
    const demo = await ensureDemoPackageSet({
      directory: join(NIXERY_DATA, 'demo'),
      cacheDirectory: NIXERY_CACHE,
      architectures: ['amd64', 'arm64'],
      progress: say,
    })
    return {
      ...(await runMigrations({ seed, kills: Number(migrations), say })),
      ...(await runSlowGc({ seed, rounds: Number(collections), say })),
      ...(await runDownloadKills({ seed, kills: Number(downloads), say })),
      ...(await runKills({ seed, kills: Number(kills), perWorld: 20, demo, say })),
    }
  },
})
