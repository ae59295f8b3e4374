import { checkFormat, checkLint, checkTypes, reportFailure, step } from './checks.ts'
import { runUnitTests } from './unit-tests.ts'

// What a change should pass before anything slower is run: no root, no network, no Nix.
try {
  await step('types', checkTypes)
  await step('format', checkFormat)
  await step('lint', checkLint)
  if (!(await step('unit tests', runUnitTests))) process.exitCode = 1
} catch (error) {
  reportFailure('check', error)
}
