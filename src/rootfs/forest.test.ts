import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { localContents, memoryListings } from '../contents/testing.ts'
import type { StorePath } from '../image/store-path.ts'
import { dir, file, link } from '../layers/testing.ts'
import { bin, binOf, testRows, type Row } from './forest-testing.ts'
import { linkForest, maxMerged } from './forest.ts'
import type { Tree } from './work.ts'

const directoriesIn = (tree: Tree): number =>
  [...tree.values()].reduce(
    (count, node) => (node.kind === 'directory' ? count + 1 + directoriesIn(node.children) : count),
    0,
  )

describe('linkForest', () => {
  const rows: readonly Row[] = [
    ['is empty without packages', [], {}],
    ['ignores a package that is a file, or a link to one', [file('x'), link('/etc/passwd')], {}],
    ['is empty for an empty package', [dir()], {}],
    [
      'links the contents of one package in real directories',
      [dir({ bin: dir({ a: file() }), lib: dir({ x: dir({ y: file() }) }) })],
      { lib: { x: '-> p0/lib/x' }, ...binOf({ a: 0 }) },
    ],
    [
      'creates real directories only where several packages have them',
      [
        dir({ share: dir({ man: dir({ a: file() }), own: dir({ b: file() }) }) }),
        dir({ share: dir({ man: dir({ c: dir({ d: file() }) }) }) }),
      ],
      { share: { man: { a: '-> p0/share/man/a', c: '-> p1/share/man/c' }, own: '-> p0/share/own' } },
    ],
    ['has the programs of all packages', [bin('a', 'b'), bin('c')], binOf({ a: 0, b: 0, c: 1 })],
    ['has real empty directories', [dir({ var: dir() })], { var: {} }],
    [
      'has only real directories in /etc',
      [dir({ etc: dir({ a: dir({ b: dir({ c: file() }) }) }), var: dir({ a: dir() }) })],
      { etc: { a: { b: { c: '-> p0/etc/a/b/c' } } }, var: { a: '-> p0/var/a' } },
    ],
    ['links files at the top', [dir({ init: file() })], { init: '-> p0/init' }],
    [
      'ignores nix-support at the top only',
      [dir({ 'nix-support': dir({ x: file() }), lib: dir({ 'nix-support': file() }) })],
      { lib: { 'nix-support': '-> p0/lib/nix-support' } },
    ],
    [
      'uses the file of the first package, and reports the others',
      [bin('a'), bin('a', 'b'), bin('a')],
      binOf({ a: 0, b: 1 }),
      ['/usr/bin/a: p0/bin/a, not p1/bin/a', '/usr/bin/a: p0/bin/a, not p2/bin/a'],
    ],
    [
      'uses a file if it comes before a directory',
      [dir({ lib: dir({ x: file() }) }), dir({ lib: dir({ x: dir({ y: file() }) }) })],
      { lib: { x: '-> p0/lib/x' } },
      ['/lib/x: p0/lib/x, not p1/lib/x'],
    ],
    [
      'uses a directory if it comes before a file, with its contents in other packages',
      [dir({ x: dir({ a: file() }) }), dir({ x: file() }), dir({ x: dir({ b: file() }) })],
      { x: { a: '-> p0/x/a', b: '-> p2/x/b' } },
      ['/x: p0/x, not p1/x'],
    ],
    [
      'reports no conflict for two links to the same target',
      [dir({ bin: dir({ sh: link('/run/sh') }) }), dir({ bin: dir({ sh: link('/run/sh') }) })],
      binOf({ sh: 0 }),
    ],
    [
      'reports a conflict for links to different targets outside the store',
      [dir({ bin: dir({ sh: link('/run/sh') }) }), dir({ bin: dir({ sh: link('/run/other') }) })],
      binOf({ sh: 0 }),
      ['/usr/bin/sh: p0/bin/sh, not p1/bin/sh'],
    ],
    [
      'does not follow links out of the store, since this machine is not the container',
      [dir({ all: link('/'), etc: dir({ host: link('/etc') }) }), dir({ all: link('/'), etc: link('/etc') })],
      { all: '-> p0/all', etc: { host: '-> p0/etc/host' } },
      ['/etc: not p1/etc, dangling'],
    ],
    ['ignores a package that links out of the store', [link('/etc')], {}],
    [
      'follows links into other packages',
      [dir({ etc: dir({ ssl: link('../../p1/ssl') }) }), dir({ ssl: dir({ certs: file() }) })],
      { etc: { ssl: { certs: '-> p0/etc/ssl/certs' } }, ssl: { certs: '-> p1/ssl/certs' } },
    ],
    [
      'reports no conflict between a link to another package and that package',
      [dir({ bin: dir({ a: link('../../p1/bin/a') }) }), bin('a')],
      binOf({ a: 0 }),
    ],
    [
      'reports a conflict for equal relative links to different files',
      [
        dir({ bin: dir({ vi: link('vim'), vim: file() }) }),
        dir({ bin: dir({ vi: link('vim'), vim: file() }) }),
      ],
      binOf({ vi: 0, vim: 0 }),
      ['/usr/bin/vi: p0/bin/vi, not p1/bin/vi', '/usr/bin/vim: p0/bin/vim, not p1/bin/vim'],
    ],
    ['keeps a dangling link', [dir({ lib: dir({ x: link('gone') }) })], { lib: { x: '-> p0/lib/x' } }],
    ['keeps a link to itself', [dir({ x: link('x') })], { x: '-> p0/x' }],
    [
      'follows links to directories at the top',
      [dir({ lib: dir({ a: file() }), lib64: link('lib') })],
      { lib: { a: '-> p0/lib/a' }, lib64: { a: '-> p0/lib64/a' } },
    ],
    [
      'merges a linked directory with a real one',
      [dir({ lib: dir({ a: file() }), lib64: link('lib') }), dir({ lib64: dir({ b: file() }) })],
      { lib: { a: '-> p0/lib/a' }, lib64: { a: '-> p0/lib64/a', b: '-> p1/lib64/b' } },
    ],
    [
      'merges all programs: of each package those of bin, sbin, usr/bin and usr/sbin, in this order',
      [
        dir({ sbin: dir({ a: file(), b: file() }), bin: dir({ a: file() }) }),
        dir({ usr: dir({ sbin: dir({ c: file('s'), d: file() }), bin: dir({ c: file('u') }), x: file() }) }),
        dir({ sbin: link('bin'), bin: dir({ e: file(), a: file() }) }),
      ],
      {
        usr: {
          x: '-> p1/usr/x',
          bin: {
            a: '-> p0/bin/a',
            b: '-> p0/sbin/b',
            c: '-> p1/usr/bin/c',
            d: '-> p1/usr/sbin/d',
            e: '-> p2/bin/e',
          },
        },
      },
      [
        '/usr/bin/a: p0/bin/a, not p0/sbin/a',
        '/usr/bin/a: p0/bin/a, not p2/bin/a',
        '/usr/bin/c: p1/usr/bin/c, not p1/usr/sbin/c',
      ],
    ],
    [
      'stops at a link to its own directory',
      [dir({ bin: dir({ X11: link('.'), a: file() }) })],
      binOf({ X11: 0, a: 0 }),
    ],
    [
      'stops at a link to the whole package',
      [dir({ self: link('.') }), dir({ self: link('.') })],
      { self: { self: '-> p0/self/self' } },
      ['/self/self: p0/self/self, not p1/self/self'],
    ],
    [
      'stops at links to their own directory in several packages',
      [dir({ bin: dir({ X11: link('.') }) }), dir({ bin: dir({ X11: link('.') }) })],
      binOf({ X11: 0 }),
      ['/usr/bin/X11: p0/bin/X11, not p1/bin/X11'],
    ],
    [
      'stops at a link to the parent directory in /etc',
      [dir({ etc: dir({ up: link('..'), x: file() }) })],
      { etc: { up: { etc: '-> p0/etc/up/etc' }, x: '-> p0/etc/x' } },
    ],
  ]
  testRows(rows)

  it('ignores a missing package', async () => {
    const missing = '/nowhere/missing' as StorePath
    assert.deepEqual(await linkForest(localContents, [missing]), { tree: new Map(), conflicts: [] })
  })

  it('merges a bounded number of directories, and links to the rest', async () => {
    // 20,101 directories in both packages: share, and those in it.
    const names = [['share'], Array.from({ length: 20_100 }, (_, index) => `d${10_000 + index}`), ['file']]
    const depthOf = (path: string) => path.split('/').length - 4
    const listings = {
      look: async (path: string) => {
        if (path.endsWith('bin')) return undefined
        if (path.endsWith('file')) return { kind: 'file', program: undefined } as const
        return { kind: 'directory' } as const
      },
      list: async (path: string) => names[depthOf(path)] ?? [],
      read: async () => Buffer.alloc(0),
    }
    const packages = ['/nix/store/p0', '/nix/store/p1'] as StorePath[]
    const { tree, conflicts } = await linkForest(listings, packages)
    assert.equal(directoriesIn(tree), maxMerged)
    const share = tree.get('share')
    assert.deepEqual(share?.kind === 'directory' && share.children.get('d30099'), {
      kind: 'link',
      target: '/nix/store/p0/share/d30099',
    })
    assert.ok(conflicts.some(({ path, reason }) => path === '/share/d30099' && reason === 'later'))
  })

  it('takes little time when many directories link to each other', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `d${index}`)
    const maze = dir(
      Object.fromEntries(
        names.map((name) => [
          name,
          dir(
            Object.fromEntries(
              names.filter((other) => other !== name).map((other) => [other, link(`../${other}`)]),
            ),
          ),
        ]),
      ),
    )
    const packages = ['/nix/store/p0', '/nix/store/p1'] as StorePath[]
    const listings = memoryListings(new Map(packages.map((path) => [path as string, maze])))
    let lists = 0
    const list = (path: string) => {
      lists += 1
      return listings.list(path)
    }
    await linkForest({ ...listings, list }, packages)
    assert.ok(lists > 16 && lists < 5_000, `${lists}`)
  })
})
