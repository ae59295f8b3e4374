import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { startOpener } from '../support/catalog-openers.ts'
import { openFile, setAsideOf } from '../support/catalogs.ts'
import { createRandom } from './random.ts'
import { parseAny, testKey } from '../../src/catalog/keys-testing.ts'

export type MigrationOptions = {
  readonly seed: number
  /** The number of processes to kill while they open a catalog. */
  readonly kills: number
  readonly say: (line: string) => void
}

const fixtures = join(import.meta.dirname, '..', 'fixtures')
// More than the number of statements to open a catalog; a process that finishes first is not killed.
const maxStatements = 70

/**
 * Kills processes before a random statement while they create or migrate the schema of a catalog, sometimes beside another
 * process that opens the same file. The catalog must then open and have its old contents.
 * @returns the number of killed processes, and of those that finished first
 * @throws AssertionError
 */
export async function runMigrations({ seed, kills, say }: MigrationOptions) {
  const random = createRandom(seed)
  const figures = { migrationsKilled: 0, migrationsFinished: 0 }
  const folder = await mkdtemp(join(tmpdir(), 'nixery-migrations-'))
  try {
    while (figures.migrationsKilled < kills) {
      const file = join(folder, `${figures.migrationsKilled + figures.migrationsFinished}.db`)
      const version = random.pick(['none', 'catalog-1.sql', 'catalog-2.sql'])
      const killAt = 1 + random.below(maxStatements)
      const beside = random.chance(0.3)
      if (version !== 'none') await restoreFixture(version, file)
      const what = `${version}, killed before statement ${killAt}${beside ? ', beside another' : ''}`
      try {
        const killed = await openAndKill(file, killAt, beside)
        figures[killed ? 'migrationsKilled' : 'migrationsFinished'] += 1
        await assertWorks(file, version !== 'none')
      } catch (error) {
        throw new Error(`seed ${seed}: ${what}: ${String(error)}`, { cause: error })
      }
      say(`migration ${figures.migrationsKilled}: ${what}`)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  return figures
}

/** Makes a catalog of an earlier version. */
async function restoreFixture(version: string, file: string): Promise<void> {
  const database = new Database(file)
  database.exec(await readFile(join(fixtures, version), 'utf8'))
  database.close()
}

/** @returns whether the process was killed */
async function openAndKill(file: string, killAt: number, beside: boolean): Promise<boolean> {
  const [victim, other] = await Promise.all([startOpener(), beside ? startOpener() : undefined])
  const [outcome, others] = await Promise.all([
    victim.open({ file, image: 'of the victim', killAt }),
    other?.open({ file, image: 'of another' }),
  ])
  await Promise.all([victim.stop(), other?.stop()])
  if (other) assert.deepEqual(others, { warnings: [] })
  if (outcome) assert.deepEqual(outcome, { warnings: [] })
  return outcome === undefined
}

async function assertWorks(file: string, isOld: boolean): Promise<void> {
  const { catalog, warnings } = await openFile(file)
  if (isOld) assert.deepEqual(await catalog.image(testKey('image'), parseAny), { manifests: {} })
  await catalog.rememberImage(testKey('next'), [1])
  await catalog.close()
  const reopened = await openFile(file)
  assert.deepEqual(await reopened.catalog.image(testKey('next'), parseAny), [1])
  await reopened.catalog.close()
  assert.deepEqual([warnings, reopened.warnings, await setAsideOf(file)], [[], [], []])
}
