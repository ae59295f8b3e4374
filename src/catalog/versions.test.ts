import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openVersionIndex } from './versions.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-versions-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const row = (attribute: string, version: string, at: number) => ({
  attribute,
  version,
  commit: String(at % 10).repeat(40),
  at,
})

describe('the index of versions', () => {
  it('contains the newest commit of each version, by source and name', () => {
    const index = openVersionIndex(':memory:', assert.fail)
    const rows = [
      row('git', '2.1', 5),
      row('git', '2.1', 7),
      row('git', '2.1', 6),
      row('git', '2.2+x', 1),
      row('_7zz', '1', 1),
    ]
    assert.equal(index.add('a', rows), 4, 'rows that are new or of a newer commit')
    assert.deepEqual(index.find('a', 'GIT'), [row('git', '2.1', 7), row('git', '2.2+x', 1)])
    assert.deepEqual(index.find('a', '7zz'), [row('_7zz', '1', 1)])
    assert.deepEqual(index.find('b', 'git'), [])
    assert.equal([...index.all('a')].length, 3)
    index.close()
  })

  it('records commits of which it has all packages', () => {
    const index = openVersionIndex(':memory:', assert.fail)
    index.noteWhole('a', 'c1')
    assert.deepEqual(
      [index.isWhole('a', 'c1'), index.isWhole('b', 'c1'), index.isWhole('a', 'c2')],
      [true, false, false],
    )
    index.close()
  })

  it('creates its folder', () => {
    const index = openVersionIndex(join(folder, 'missing', 'data', 'versions.db'), assert.fail)
    assert.equal(index.add('a', [row('git', '2.1', 5)]), 1)
    index.close()
  })

  it('reports each change, also by other processes, and nothing else', () => {
    const file = join(folder, 'shared.db')
    const [one, other] = [openVersionIndex(file, assert.fail), openVersionIndex(file, assert.fail)]
    const first = one.generation()
    assert.equal(one.generation(), first)
    other.add('a', [row('git', '1', 1)])
    const second = one.generation()
    assert.notEqual(second, first)
    one.add('a', [row('git', '2', 1)])
    const third = one.generation()
    assert.notEqual(third, second)
    assert.equal(one.add('a', [row('git', '2', 1)]), 0)
    assert.equal(one.generation(), third)
    one.close()
    other.close()
  })

  it('counts as empty when it fails', async () => {
    const file = join(folder, 'damaged.db')
    await writeFile(file, 'this is no database, but it is long enough to be taken for one'.repeat(20))
    const warnings: string[] = []
    const index = openVersionIndex(file, (line) => warnings.push(line))
    assert.equal(index.add('a', [row('git', '1', 1)]), 0)
    assert.deepEqual([index.find('a', 'git'), index.generation()], [[], 0])
    assert.match(warnings.join(), /the index of versions fails: /)
    index.close()
  })
})
