import { globSync } from 'node:fs'
import { runTests } from './tests.ts'

/** Tests beside the sources that need a real Nix, root or a network. `npm test` runs them. */
const needMore: ReadonlySet<string> = new Set([
  'src/nix/nix.test.ts',
  'src/nix/lasting.test.ts',
  'src/nix/settings.test.ts',
])

/** Runs the tests that need neither root nor network nor Nix. */
export function runUnitTests(): Promise<boolean> {
  const beside = globSync('{src,demo,scripts,bench}/**/*.test.ts')
  const files = [...beside, 'test/architecture.test.ts', 'test/documents.test.ts']
  return runTests({ patterns: files.filter((file) => !needMore.has(file)).sort(), concurrency: 2 })
}
