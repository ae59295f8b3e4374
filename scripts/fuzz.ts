import { targets } from '../test/fuzz/parsers.ts'
import { fuzzServer } from '../test/fuzz/server-fuzz.ts'
import { openWorkspace } from '../test/support/workspace.ts'
import { runSeeded } from './seeded.ts'

const since = (started: number) => `${((performance.now() - started) / 1000).toFixed(1)} s`

await runSeeded({
  name: 'fuzz',
  options: {
    inputs: ['number of inputs for each parser', '50000'],
    requests: ['number of requests to a server, in addition to the corpus', '100000'],
  },
  programs: ['nix-store'],
  async run({ inputs, requests }, { seed, say }) {
    const numRuns = Number(inputs)
    for (const target of targets) {
      const started = performance.now()
      await target.check({ seed, numRuns })
      say(`${target.name}: ${numRuns} inputs, ${since(started)}`)
    }
    const workspace = await openWorkspace()
    try {
      const figures = await fuzzServer(workspace, { seed, count: Number(requests), say })
      say(`server: ${JSON.stringify(figures, undefined, 2)}`)
    } finally {
      await workspace.dispose()
    }
    return {}
  },
})
