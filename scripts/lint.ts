import { checkFormat, checkLint, reportFailure } from './checks.ts'

try {
  await checkFormat()
  await checkLint()
} catch (error) {
  reportFailure('lint', error)
}
