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
import { encodeHeader } from './header.ts'
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

function libraryHeader(fields: object): [Buffer | undefined, boolean] {
  const header = Object.assign(new Header(), common, fields)
  const needsPax = header.encode()
  return [header.block, !needsPax]
}
function assertSame(path: string) {
  for (const type of ['Directory', 'File'] as const) {
    assert.deepEqual(
      encodeHeader({ type, mode: 0o555, size: 0, path, linkpath: '' }),
      libraryHeader({ type, path }),
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

  it('equals that of the library for any path', () => {
    fc.assert(fc.property(paths, assertSame), { numRuns: 3000 })
  })

  it('equals that of the library around the sizes of the fields', () => {
    for (let first = 90; first <= 165; first += 1) {
      for (const second of [0, 1, 50, 98, 99, 100, 101, 155]) {
        assertSame(`${'a'.repeat(first)}/${'b'.repeat(second)}`)
        assertSame(`${'c'.repeat(Math.max(1, second))}/${'a'.repeat(first)}/`)
        assertSame(`x/${'c'.repeat(Math.max(1, second))}/${'a'.repeat(first)}/y`)
      }
    }
  })

  it('of a nested folder does not take time cubic in the depth', () => {
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
    // CPU time in microseconds, so that a busy machine does not matter. A tenth of the limit is enough.
    assert.ok(user < 3e6, `${user / 1e6} s`)
    remove(directory)
  })
})
