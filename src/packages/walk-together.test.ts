import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createWalkTogether, help, states, type Part } from './walk-together.ts'
import { lookAtRoot, walk, type Folder } from './walk.ts'

let root: string
before(() => {
  root = mkdtempSync(join(tmpdir(), 'nixery-walk-together-'))
  mkdirSync(join(root, '.git'))
  writeFileSync(join(root, '.git', 'HEAD'), 'ref: refs/heads/main')
  writeFileSync(join(root, 'default.nix'), '{ }')
  symlinkSync('by-name', join(root, 'link'))
  for (let shard = 0; shard < 20; shard++) {
    for (let name = 0; name < 20; name++) {
      const folder = join(root, 'by-name', `s${shard}`, name % 5 === 0 ? `é "${name}"\n` : `n-${name}`)
      mkdirSync(join(folder, 'deep', 'er'), { recursive: true })
      if (name % 3 > 0) writeFileSync(join(folder, 'package.nix'), '{ }'.repeat(name))
      if (name % 4 === 0) symlinkSync('../nowhere', join(folder, 'deep', 'dangling'))
    }
  }
})
after(() => rmSync(root, { recursive: true }))

const foldersOf = (): Folder[] => {
  const folders: Folder[] = []
  const visitor = { line: () => {}, folder: (folder: Folder) => void folders.push(folder) }
  lookAtRoot(join(root, 'by-name'), visitor)
  return folders
}
const helped = (most?: number) => {
  const folders = foldersOf()
  const taken = new Int32Array(folders.length)
  const parts: Part[] = []
  help({ folders, taken }, (part) => parts.push(part), most)
  return { parts, taken: [...taken] }
}

describe('walking over a tree in two threads', () => {
  it('has the same result as in one thread', () => {
    const expected = walk(root)
    const walkTogether = createWalkTogether(2)
    for (let time = 0; time < 5; time++) assert.deepEqual(walkTogether(root), expected)
    assert.deepEqual(createWalkTogether(1)(root), expected)
  })

  it('has the same result for a file and for a small tree', () => {
    const walkTogether = createWalkTogether(2)
    for (const small of [join(root, 'default.nix'), join(root, 'by-name/s1')])
      assert.deepEqual(walkTogether(small), walk(small))
  })

  it('fails as in one thread if there is nothing', () => {
    assert.throws(() => createWalkTogether(2)(join(root, 'nowhere')), { code: 'ENOENT' })
  })

  it('walks over folders from the end in the helper', () => {
    const { parts, taken } = helped()
    assert.deepEqual(
      parts.map(({ number }) => number),
      Array.from({ length: 20 }, (_, index) => 19 - index),
    )
    assert.ok(taken.every((state) => state === states.ready))
  })

  it("limits the helper's buffered results", () => {
    const all = helped().parts
    const most = all.slice(0, 3).reduce((sum, { text }) => sum + text.length, 0)
    const { parts, taken } = helped(most)
    assert.deepEqual(parts, all.slice(0, 3))
    assert.equal(taken[16], states.left) // done by the walker
    assert.ok(taken.slice(0, 16).every((state) => state === states.open))
  })
})
