import { parseArgs } from 'node:util'
import { targets } from '../test/fuzz/parsers.ts'
import { fuzzServer } from '../test/fuzz/server-fuzz.ts'
import { openWorkspace } from '../test/support/workspace.ts'
import { ensurePrograms } from './install.ts'

const usage = `usage: npm run fuzz -- [options]
  --inputs N    how many inputs each parser gets (50000)
  --requests N  how many requests a server gets, besides the corpus (100000)
  --seed N      what chooses them; the same seed chooses the same`

const { values: options } = parseArgs({
  options: {
    inputs: { type: 'string', default: '50000' },
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    help: { type: 'boolean', default: false },
  },
})

const say = (line: string) => process.stdout.write(`${line}\n`)
const since = (started: number) => `${((performance.now() - started) / 1000).toFixed(1)} s`

async function main(): Promise<void> {
  if (options.help) {
    say(usage)
    return
  }
  await ensurePrograms(['nix-store'], say)
  const seed = Number(options.seed)
  const numRuns = Number(options.inputs)
  say(`seed ${seed}`)
  for (const target of targets) {
    const started = performance.now()
    await target.check({ seed, numRuns })
    say(`${target.name}: ${numRuns} inputs, ${since(started)}`)
  }

  const workspace = await openWorkspace()
  try {
    const started = performance.now()
    const figures = await fuzzServer(workspace, { seed, count: Number(options.requests), say })
    say(`server: ${JSON.stringify(figures, undefined, 2)}\n${since(started)}`)
  } finally {
    await workspace.dispose()
  }
}

await main()
