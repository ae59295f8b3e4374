import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { runDownloadKills } from '../test/reliability/download-kills.ts'
import { runKills } from '../test/reliability/kills.ts'
import { runMigrations } from '../test/reliability/migrations.ts'
import { runSlowGc } from '../test/reliability/slow-gc.ts'
import { ensurePrograms } from './install.ts'

const usage = `usage: npm run faults -- [options]
  --kills N  how many servers are killed (200)
  --migrations N  how many processes are killed while they change a catalog's schema (100)
  --collections N  how many garbage collections run over a slow store (50)
  --downloads N  how many servers are killed while they download from a binary cache (20)
  --seed N   what chooses the moments; the same seed chooses the same`

const { values: options } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    migrations: { type: 'string', default: '100' },
    collections: { type: 'string', default: '50' },
    downloads: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    help: { type: 'boolean', default: false },
  },
})

const say = (line: string) => process.stdout.write(`${line}\n`)

async function main(): Promise<void> {
  if (options.help) {
    say(usage)
    return
  }
  await ensurePrograms(['nix-store', 'libdeflate.so.0'], say)
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const demo = await ensureDemoPackageSet({
    directory: join(NIXERY_DATA, 'demo'),
    cacheDirectory: NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: say,
  })
  const seed = Number(options.seed)
  say(`seed ${seed}`)
  const started = performance.now()
  const figures = {
    ...(await runMigrations({ seed, kills: Number(options.migrations), say })),
    ...(await runSlowGc({ seed, rounds: Number(options.collections), say })),
    ...(await runDownloadKills({ seed, kills: Number(options.downloads), say })),
    ...(await runKills({ seed, kills: Number(options.kills), perWorld: 20, demo, say })),
  }
  for (const [name, value] of Object.entries(figures)) say(`${name}: ${Math.round(value)}`)
  say(`seconds: ${Math.round((performance.now() - started) / 1000)}`)
}

await main()
