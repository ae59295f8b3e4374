import { checkSources, reportFailure, step } from './checks.ts'
import { runUnitTests } from './unit-tests.ts'

// What a change should pass before anything slower is run: no root, no network, no Nix. All of it side by side: each
// part has phases that keep one core busy only.
await step('format, lint, types, unit tests', async () => {
  const outcomes = await Promise.allSettled([checkSources(), runUnitTests()])
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') reportFailure('check', outcome.reason)
    else if (outcome.value === false) process.exitCode = 1
  }
})
