import { checkSources, reportFailure, step } from './checks.ts'
import { runUnitTests, slow, unitTests } from './unit-tests.ts'

// What a change should pass before anything slower is run: no root, no network, no Nix. All of it side by side: each
// part has phases that keep one core busy only.
const quick = unitTests().filter((file) => !slow.has(file))

await step('format, lint, types, unit tests', async () => {
  const outcomes = await Promise.allSettled([checkSources(), runUnitTests(quick)])
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') reportFailure('check', outcome.reason)
    else if (outcome.value === false) process.exitCode = 1
  }
})
process.stdout.write(`left out: ${slow.size} slow files of unit tests, which npm run unit runs, too\n`)
