import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import type { PackageEntry } from './entry.ts'
import { writeIndex } from './index-file.ts'
import { createSearch } from './search.ts'
import { openSetIndex } from './set-index.ts'

const folder = mkdtempSync(join(tmpdir(), 'nixery-search-'))
after(() => rmSync(folder, { recursive: true }))

const entry = (index: number): PackageEntry => ({
  name: `tool${String(index).padStart(4, '0')}`,
  attribute: `tool${String(index).padStart(4, '0')}`,
  pname: 'tool',
  version: '1.0',
  description: 'a tool',
  homepage: undefined,
  license: undefined,
  programs: [],
})

describe('a search', () => {
  writeIndex(
    join(folder, 'packages.one.db'),
    { revision: 'one', rules: 'all', madeAt: 1 },
    Array.from({ length: 3000 }, (_, index) => entry(index)),
  )
  const index = openSetIndex({ folder, name: undefined, warn: (line) => assert.fail(line) })
  const unused = () => assert.fail('the index is there')
  const supply = { want: unused, isMaking: unused, progress: () => undefined, refresh: unused }
  const search = createSearch([{ index, supply }], () => Promise.resolve())
  after(() => search.close())
  const namesOf = async (permits: (entry: { readonly name: string }) => boolean, offset = 0) => {
    const found = await search.find({ text: 'tool', limit: 2, offset, permits })
    return [found?.results.map(({ name }) => name), found?.more]
  }

  it('finds what may be shown among what may not', async () => {
    assert.deepEqual(await namesOf(({ name }) => name >= 'tool1500'), [['tool1500', 'tool1501'], true])
    assert.deepEqual(await namesOf(({ name }) => name === 'tool0007'), [['tool0007'], false])
    assert.deepEqual(await namesOf(({ name }) => name >= 'tool1500', 2), [['tool1502', 'tool1503'], true])
    assert.deepEqual(await namesOf(() => true), [['tool0000', 'tool0001'], true])
    assert.deepEqual(await namesOf(() => false), [[], false])
  })

  it('checks few entries twice, and yields to other work if all are hidden', async () => {
    let checks = 0
    let turns = 0
    const counting = setInterval(() => (turns += 1), 0)
    const slow = () => {
      checks += 1
      const until = performance.now() + 0.05
      while (performance.now() < until);
      return false
    }
    assert.deepEqual(await namesOf(slow), [[], false])
    clearInterval(counting)
    assert.ok(checks >= 2_000 && checks < 2_010, String(checks))
    assert.ok(turns >= 5, String(turns))
  })
})
