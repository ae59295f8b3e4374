import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { followFile, type FollowedFile } from './followed-file.ts'

describe('a followed file', () => {
  let folder: string
  let path: string
  const changes: number[] = []
  const troubles: string[] = []
  const parse = (text: string): number => {
    if (!/^\d+$/.test(text)) throw new Error('no number')
    return Number(text)
  }
  const open = (): Promise<FollowedFile<number>> =>
    followFile(path, {
      parse,
      every: 3_600_000,
      onChange: (value) => void changes.push(value),
      onTrouble: (reason) => void troubles.push(reason),
    })
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-followed-'))
    path = join(folder, 'file')
  })
  beforeEach(() => {
    changes.length = 0
    troubles.length = 0
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('is read again when it changes, is replaced, or is a link that moves', async () => {
    await writeFile(path, '1')
    const file = await open()
    assert.equal(file.value, 1)
    await writeFile(path, '22')
    await file.look()
    await writeFile(`${path}.new`, '3')
    await rename(`${path}.new`, path)
    await file.look()
    await writeFile(join(folder, 'other'), '4')
    await rm(path)
    await symlink('other', path)
    await file.look()
    await file.look()
    assert.equal(file.value, 4)
    assert.deepEqual(changes, [22, 3, 4])
    assert.deepEqual(troubles, [])
    file.stop()
    await rm(path)
  })

  it('keeps the last valid contents while it is invalid or missing, and reports it once', async () => {
    await writeFile(path, '1')
    const file = await open()
    await writeFile(path, 'broken')
    await file.look()
    await file.look()
    await rm(path)
    await file.look()
    await file.look()
    assert.equal(file.value, 1)
    assert.deepEqual(troubles, ['no number', 'ENOENT'])
    await writeFile(path, '5')
    await file.look()
    assert.deepEqual(changes, [5])
    file.stop()
  })

  it('must be valid at startup', async () => {
    await writeFile(path, 'x')
    await assert.rejects(open(), /no number/)
    await rm(path)
    await assert.rejects(open(), { code: 'ENOENT' })
  })
})
