import { globSync, readFileSync } from 'node:fs'
import { runTests } from './tests.ts'

/** Signs of a test that starts Nix or PostgreSQL, or mounts a file system without checking whether it may. */
const signs = /\b(openBench|environmentOfNix|noPostgres)\b|execa\('(nix|nix-[a-z]+|mkfs\.ext4)'/

/** Other tests next to the sources that need Nix, root or a network. */
export const needMore: ReadonlySet<string> = new Set(['src/nix/lasting.test.ts', 'src/nix/settings.test.ts'])

const needsMore = (file: string): boolean => needMore.has(file) || signs.test(readFileSync(file, 'utf8'))

/** The tests next to the sources that need neither root nor network, Nix or PostgreSQL. `npm test` also runs the others. */
export const unitTests = (): string[] => [
  ...globSync('{src,demo,scripts,bench}/**/*.test.ts')
    .sort()
    .filter((file) => !needsMore(file)),
  'test/architecture.test.ts',
  'test/documents.test.ts',
]

/** Runs the unit tests. */
export const runUnitTests = (): Promise<boolean> =>
  runTests({ patterns: [], shared: unitTests(), concurrency: 2 })
