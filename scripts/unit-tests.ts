import { globSync } from 'node:fs'
import { runTests } from './tests.ts'

/** Tests beside the sources that need a real Nix, root or a network. `npm test` runs them. */
export const needMore: ReadonlySet<string> = new Set([
  'src/builds/resolve.test.ts',
  'src/nix/evaluators-together.test.ts',
  'src/nix/evaluators.test.ts',
  'src/nix/greedy-meta.test.ts',
  'src/nix/lasting.test.ts',
  'src/nix/lookup-meta.test.ts',
  'src/nix/lookup.test.ts',
  'src/nix/nix.test.ts',
  'src/nix/settings.test.ts',
  'src/nix/valid-outputs.test.ts',
  'src/packages/fetched.test.ts',
  'src/packages/path-store.test.ts',
  'src/rootfs/nix/database.test.ts',
  'src/store/disks.test.ts',
])

/** Every test beside the sources. */
export const testsBeside = (): string[] => globSync('{src,demo,scripts,bench}/**/*.test.ts').sort()

/** Runs the tests that need neither root nor network nor Nix. */
export function runUnitTests(): Promise<boolean> {
  const files = [...testsBeside(), 'test/architecture.test.ts', 'test/documents.test.ts']
  return runTests({ patterns: files.filter((file) => !needMore.has(file)), concurrency: 2 })
}
