import { globSync, readFileSync } from 'node:fs'
import { runTests } from './tests.ts'

/** Code of tests that start Nix or PostgreSQL, or mount a file system without checking for root. */
const signs = /\b(openBench|environmentOfNix|noPostgres)\b|execa\('(nix|nix-[a-z]+|mkfs\.ext4)'/

/** Further tests next to the sources that need Nix, root or a network. */
export const needMore: ReadonlySet<string> = new Set(['src/nix/lasting.test.ts', 'src/nix/settings.test.ts'])

const needsMore = (file: string): boolean => needMore.has(file) || signs.test(readFileSync(file, 'utf8'))

/**
 * Unit tests that take seconds of CPU time each, because they start programs or threads for every case. `npm run check`
 * skips them.
 */
export const slow: ReadonlySet<string> = new Set([
  'demo/program.test.ts', // packs the program and its modules
  'src/contents/cache/xz.test.ts', // every way to expand xz
  'src/layers/archive.test.ts', // Python and GNU tar read each archive
  'src/layers/blocks.test.ts',
  'src/layers/compressor.test.ts', // every compressor
  'src/layers/members.test.ts',
  'src/layers/pack.test.ts',
  'src/layers/threads.test.ts', // dozens of threads
  'src/nix/mirror.test.ts', // git repositories
  'src/packages/checkout.test.ts',
])

/** The tests next to the sources that need neither root nor network, Nix or PostgreSQL. `npm test` also runs the others. */
export const unitTests = (): string[] => [
  ...globSync('{src,demo,scripts,bench}/**/*.test.ts')
    .sort()
    .filter((file) => !needsMore(file)),
  'test/architecture.test.ts',
  'test/documents.test.ts',
]

/** Runs unit tests. More files than cores, because tests wait for timers and programs part of the time. */
export const runUnitTests = (files: readonly string[] = unitTests()): Promise<boolean> =>
  runTests({ patterns: [], shared: files, concurrency: 3 })
