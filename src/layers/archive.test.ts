import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, lutimesSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { StorePath } from '../image/store-path.ts'
import type { Entry } from '../contents/entry.ts'
import { storePathEntries } from '../contents/local-entries.ts'
import { blockSize, tarBlocks, trailer } from './archive.ts'
import {
  dir,
  file,
  link,
  make,
  membersOf,
  readWithPython,
  remove,
  type Tree,
  unpackWithTar,
  utf8,
} from './testing.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-archive-'))
})
after(() => remove(directory))

/** A path for a new package; nothing exists there yet. */
const freshPath = () => join(mkdtempSync(join(directory, 'in-')), 'package') as StorePath
const tarOf = (entries: Iterable<Entry>): Buffer => Buffer.concat([...tarBlocks(entries), trailer])

const named = (...names: string[]): Tree => ({ children: names.map((name) => [name, file(name)]) })
const deep = (levels: number, name: string): Tree =>
  levels === 0 ? file('deep') : dir({ [name]: deep(levels - 1, name) })

const sizes = [0, 1, 511, 512, 513, blockSize - 512, blockSize, 3 * 2 ** 20]
const lengths = [1, 99, 100, 101, 154, 155, 156, 254, 255]
const targets = [99, 100, 101, 155, 256, 3000]
const modes = [0o400, 0o444, 0o500, 0o555, 0o611, 0o644, 0o700, 0o755, 0o777]

describe('an archived store path', () => {
  const rows: [what: string, tree: Tree][] = [
    ['a single file', file('alone')],
    ['a single symbolic link', link('/elsewhere')],
    ['empty directories', dir({ a: dir(), b: dir({ c: dir() }) })],
    [
      'files with sizes around those of records and blocks',
      { children: sizes.map((size) => [`f${size}`, file(Buffer.alloc(size, `${size}`))]) },
    ],
    ['executable and other files', { children: modes.map((mode) => [`m${mode}`, file('x', mode)]) }],
    [
      'links with and without existing targets',
      dir({ here: file(), up: link('../up'), root: link('/'), loop: link('loop'), ok: link('here') }),
    ],
    [
      'short and long link targets',
      { children: targets.map((length) => [`t${length}`, link('t'.repeat(length))]) },
    ],
    ['long names of files', named(...lengths.map((length) => 'f'.repeat(length)))],
    ['long names of directories', { children: lengths.map((length) => ['d'.repeat(length), named('x')]) }],
    [
      'long names of links',
      { children: lengths.map((length) => ['l'.repeat(length), link('t'.repeat(length))]) },
    ],
    ['a deep path', deep(150, 'level')],
    ['a deep path of long names', deep(10, 'x'.repeat(250))],
    ['names in Unicode', named(...['ä', 'a\u0308', '漢字', '🐋', 'אב', 'é'.repeat(120)].map(utf8))],
    ['link targets in Unicode', dir({ a: link(utf8('ä/漢字')), b: link(utf8('🐋'.repeat(60))) })],
    ['names that are not UTF-8', named('\xff', 'a\xe4b', '\xc3', '\xed\xa0\x80', '\xfe'.repeat(200))],
    ['link targets that are not UTF-8', dir({ a: link('\xff/\xe4'), b: link('\x80'.repeat(150)) })],
    ['names with spaces and line breaks', named(' ', 'a b', ' a', 'a ', 'a\nb', '\n', '\r', '\t')],
    [
      'names with special characters',
      named('-x', '--help', '*', '\\n', '"', "'", 'a=b', '12 path=x', '\x01', '\x7f'),
    ],
    ['names in byte order', dir({ b: file(), B: file(), 'a.': file(), a: named('z', 'y'), 'a-': file() })],
  ]
  for (const [what, tree] of rows) {
    it(`is read by tarfile and GNU tar: ${what}`, () => {
      const path = freshPath()
      make(path, tree)
      const tar = tarOf(storePathEntries(path))
      const expected = membersOf(path.slice(1), tree)
      assert.deepEqual(readWithPython(tar), expected)
      for (const locale of ['C', 'C.UTF-8']) {
        const into = mkdtempSync(join(directory, 'out-'))
        assert.deepEqual(unpackWithTar(tar, path.slice(1), into, locale), expected)
      }
    })
  }

  it('has plain owners, modes and times in a listing', () => {
    const path = freshPath()
    make(path, dir({ bin: dir({ x: file('run', 0o755), y: link('x') }), 'read me': file('text') }))
    const args = ['--utc', '--full-time', '-tvf', '-']
    const listing = execFileSync('tar', args, { input: tarOf(storePathEntries(path)) }).toString()
    const lines = listing.trim().split('\n')
    assert.deepEqual(
      lines.map((line) => line.replace(/ +/g, ' ').replace(path.slice(1), '')),
      [
        'dr-xr-xr-x 0/0 0 1970-01-01 00:00:01 /',
        'dr-xr-xr-x 0/0 0 1970-01-01 00:00:01 /bin/',
        '-r-xr-xr-x 0/0 3 1970-01-01 00:00:01 /bin/x',
        'lrwxrwxrwx 0/0 0 1970-01-01 00:00:01 /bin/y -> x',
        '-r--r--r-- 0/0 4 1970-01-01 00:00:01 /read me',
      ],
    )
  })

  it('contains hard links as full copies', () => {
    const path = freshPath()
    make(path, dir({ a: file('shared') }))
    linkSync(join(path, 'a'), join(path, 'b'))
    assert.equal(statSync(join(path, 'b')).nlink, 2)
    const expected = membersOf(path.slice(1), dir({ a: file('shared'), b: file('shared') }))
    assert.deepEqual(readWithPython(tarOf(storePathEntries(path))), expected)
  })

  it('does not contain the time of the files', () => {
    const path = freshPath()
    make(path, dir({ a: file('x'), b: link('a') }))
    const first = tarOf(storePathEntries(path))
    for (const name of ['a', 'b', '.']) lutimesSync(join(path, name), 1_000_000, 2_000_000)
    assert.deepEqual(tarOf(storePathEntries(path)), first)
  })

  it('is refused when it contains something other than files, directories and links', () => {
    const path = freshPath()
    make(path, dir())
    execFileSync('mkfifo', [join(path, 'pipe')])
    assert.throws(() => tarOf(storePathEntries(path)), /neither file.*package\/pipe/)
  })

  const bytes = fc.uint8Array({ max: 255, minLength: 1, maxLength: 12 }).map((a) => Buffer.from(a))
  const name = fc
    .oneof(
      bytes.map((some) => some.toString('latin1')),
      fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', ' ', '\n'), minLength: 1, maxLength: 6 }),
      fc.tuple(fc.constantFrom('n', '\xe9'), fc.integer({ min: 90, max: 255 })).map(([c, n]) => c.repeat(n)),
    )
    .filter((text) => !/[/\0]|^\.\.?$/.test(text))
  const { tree } = fc.letrec<{ tree: Tree; directory: Tree }>((tie) => ({
    directory: fc
      .uniqueArray(fc.tuple(name, tie('tree')), { selector: ([key]) => key, maxLength: 5 })
      .map((children) => ({ children })),
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.tuple(fc.uint8Array({ maxLength: 1500 }), fc.constantFrom(0o644, 0o755)).map((all) => file(...all)),
      name.map(link),
      tie('directory'),
    ),
  }))

  it('has the same entries, and the same bytes, regardless of the creation order of its files', () => {
    const path = freshPath()
    fc.assert(
      fc.property(tree, (any) => {
        make(path, any)
        const once = tarOf(storePathEntries(path))
        const twice = tarOf(storePathEntries(path))
        rmSync(path, { recursive: true })
        make(path, any, 'reverse')
        const reversed = tarOf(storePathEntries(path))
        rmSync(path, { recursive: true })
        assert.ok(twice.equals(once))
        assert.ok(reversed.equals(once))
        assert.deepEqual(readWithPython(once), membersOf(path.slice(1), any))
      }),
      { numRuns: 20 }, // each starts Python,
    )
  })
})
