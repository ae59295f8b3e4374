import { checkSources, reportFailure, step } from './checks.ts'
import { runUnitTests, slow, unitTests } from './unit-tests.ts'

// What a change should pass before slower tests: needs neither root nor network nor Nix. Both parts run concurrently,
// because each has single-threaded phases.
const quick = unitTests().filter((file) => !slow.has(file))

await step('format, lint, types, unit tests', async () => {
  const outcomes = await Promise.allSettled([checkSources(), runUnitTests(quick)])
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') reportFailure('check', outcome.reason)
    else if (outcome.value === false) process.exitCode = 1
  }
})
process.stdout.write(`skipped ${slow.size} slow files of unit tests, which npm run unit also runs\n`)
