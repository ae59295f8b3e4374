import { globSync } from 'node:fs'
import { runTests } from './tests.ts'

/** Tests beside the sources that need a real Nix or PostgreSQL, root or a network. Only `npm test` runs them. */
export const needMore: ReadonlySet<string> = new Set([
  'src/builds/resolve.test.ts',
  'src/catalog/postgres-replicas.test.ts',
  'src/catalog/postgres.test.ts',
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
  'src/postgres/postgres.test.ts',
  'src/rootfs/nix/database.test.ts',
  'src/store/disks.test.ts',
])

/** Every test beside the sources. */
export const testsBeside = (): string[] => globSync('{src,demo,scripts,bench}/**/*.test.ts').sort()

/** The tests that need neither root nor network nor Nix. */
export const unitTests = (): string[] => [
  ...testsBeside().filter((file) => !needMore.has(file)),
  'test/architecture.test.ts',
  'test/documents.test.ts',
]

/** Runs the tests that need neither root nor network nor Nix. */
export const runUnitTests = (): Promise<boolean> =>
  runTests({ patterns: [], shared: unitTests(), concurrency: 2 })
