import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile, lutimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { isPart, partOf } from './part.ts'
import { removeOld } from './remove-old.ts'

const folder = await mkdtemp(join(tmpdir(), 'remove-old-'))
after(() => rm(folder, { recursive: true }))
const hour = 3_600_000

/** Creates a folder in which everything except `new` is old. */
async function filled(name: string): Promise<string> {
  const at = join(folder, name)
  await mkdir(join(at, 'tree'), { recursive: true })
  await writeFile(join(at, 'tree', 'deep'), '')
  await writeFile(join(at, 'old'), '')
  await writeFile(join(at, 'new'), '')
  await symlink('nowhere', join(at, 'dangling'))
  for (const each of ['tree/deep', 'tree', 'old']) await utimes(join(at, each), 1, 1)
  await lutimes(join(at, 'dangling'), 1, 1)
  return at
}
const left = async (at: string) => (await readdir(at, { recursive: true })).sort()

it('removes old files, folders and dangling links', async () => {
  const at = await filled('all')
  assert.equal(await removeOld(at, { olderThan: hour }), 3)
  assert.deepEqual(await left(at), ['new'])
})

it('removes only matching names, and only files when recursive', async () => {
  const at = await filled('some')
  assert.equal(await removeOld(at, { olderThan: hour, only: (name) => name === 'old' }), 1)
  assert.equal(await removeOld(at, { olderThan: hour, recursive: true }), 2)
  assert.deepEqual(await left(at), ['new', 'tree'])
})

it('ignores a missing folder, and fails if it cannot list one', async () => {
  assert.equal(await removeOld(join(folder, 'none'), { olderThan: 0 }), 0)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(removeOld(join(folder, 'file'), { olderThan: 0 }), { code: 'ENOTDIR' })
})

it('recognizes names of unfinished files', () => {
  const name = (path: string) => partOf(path).slice('/data/'.length)
  assert.ok(isPart(name('/data/image.tar')) && isPart(name('/data/image.tar'), '/other/image.tar'))
  assert.ok(!isPart(name('/data/image.tar'), '/data/image') || name('/data/image.tar').startsWith('.image.'))
  for (const other of ['image.tar', '.image.tar', 'x.part', '.index.json.lock'])
    assert.ok(!isPart(other), other)
})
