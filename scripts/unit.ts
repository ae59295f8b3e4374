import { runUnitTests } from './unit-tests.ts'

if (!(await runUnitTests())) process.exitCode = 1
