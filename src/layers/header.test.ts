import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Header } from 'tar/header'
import type { StorePath } from '../image/store-path.ts'
import { storePathEntries } from '../contents/local-entries.ts'
import { tarBlocks } from './archive.ts'
import { encoded } from './header.ts'
import { dir, file, make, remove, type Tree } from './testing.ts'

const common = {
  uid: 0,
  gid: 0,
  uname: '',
  gname: '',
  mtime: new Date(1000),
  mode: 0o555,
  size: 0,
  linkpath: '',
}

function byLibrary(fields: object): [Buffer | undefined, boolean] {
  const header = Object.assign(new Header(), common, fields)
  const needsPax = header.encode()
  return [header.block, !needsPax]
}
function isSame(path: string) {
  for (const type of ['Directory', 'File'] as const) {
    assert.deepEqual(
      encoded({ type, mode: 0o555, size: 0, path, linkpath: '' }),
      byLibrary({ type, path }),
      path,
    )
  }
}

describe('a header block', () => {
  const part = fc.oneof(
    { weight: 6, arbitrary: fc.stringMatching(/^[ -.0-~]{1,12}$/) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 260 }).map((length) => 'n'.repeat(length)) },
    fc.constantFrom('', '.', '..', '...', 'a', 'b.c'),
  )
  const paths = fc
    .tuple(
      fc.array(part, { minLength: 1, maxLength: 90 }),
      fc.constantFrom('', '/'),
      fc.constantFrom('', '/'),
    )
    .map(([parts, before, after]) => before + parts.join('/') + after)

  it('is the same as the library makes it, whatever the path is', () => {
    fc.assert(fc.property(paths, isSame), { numRuns: 3000 })
  })

  it('is the same around the sizes of its fields', () => {
    for (let first = 90; first <= 165; first += 1) {
      for (const second of [0, 1, 50, 98, 99, 100, 101, 155]) {
        isSame(`${'a'.repeat(first)}/${'b'.repeat(second)}`)
        isSame(`${'c'.repeat(Math.max(1, second))}/${'a'.repeat(first)}/`)
        isSame(`x/${'c'.repeat(Math.max(1, second))}/${'a'.repeat(first)}/y`)
      }
    }
  })

  it('of a nested folder takes time that its length explains, and not the cube of its depth', () => {
    const directory = mkdtempSync(join(tmpdir(), 'nixery-header-'))
    const path = join(directory, 'package') as StorePath
    let tree: Tree = file('x')
    for (let depth = 0; depth < 1500; depth++) tree = dir({ d: tree })
    make(path, tree)
    const before = process.cpuUsage()
    let size = 0
    for (const block of tarBlocks(storePathEntries(path))) size += block.length
    const { user } = process.cpuUsage(before)
    assert.ok(size > 1500 * 1024)
    // Microseconds that this process computed, however busy the machine is: a tenth of what is allowed will do.
    assert.ok(user < 3e6, `${user / 1e6} s`)
    remove(directory)
  })
})
