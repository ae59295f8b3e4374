import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { localContents } from '../contents/testing.ts'
import { amd64, arm64 } from '../image/platform.ts'
import { tarBlocks, trailer } from '../layers/archive.ts'
import { dir, file, link, readWithPython, utf8 } from '../layers/testing.ts'
import { rootfs } from './rootfs.ts'
import { arm, bin, makeStore, rootfsOf, script, x86, type Image } from './testing.ts'

describe('rootfs', () => {
  // The expected entry at each path; undefined if there is none.
  const rows: [what: string, image: Image, found: Readonly<Record<string, string | undefined>>][] = [
    [
      'links the contents of packages',
      { packages: [bin({ a: x86 }), dir({ lib: dir({ b: file() }) })] },
      { bin: '-> usr/bin', 'usr/bin/a': '-> p0/bin/a', 'lib/b': '-> p1/lib/b' },
    ],
    [
      'keeps the accounts and settings of a package',
      { packages: [dir({ etc: dir({ passwd: file('mine'), x: dir({ y: file() }) }) })] },
      { 'etc/passwd': '-> p0/etc/passwd', 'etc/x': '755/', 'etc/x/y': '-> p0/etc/x/y' },
    ],
    [
      'sets the modes of temporary folders, and keeps the contents of packages in them',
      { packages: [dir({ tmp: dir({ a: file() }), root: dir({ '.profile': file() }) })] },
      { tmp: '1777/', 'tmp/a': '-> p0/tmp/a', root: '700/', 'root/.profile': '-> p0/root/.profile' },
    ],
    [
      'has its own store folder instead of those of packages',
      { packages: [dir({ nix: dir({ store: dir({ x: file() }), var: file() }) })] },
      { 'nix/store': '755/', 'nix/store/x': undefined, 'nix/var': undefined },
    ],
    [
      'ignores files of packages in place of standard folders',
      { packages: [dir({ bin: file(), etc: file(), tmp: link('/dev/shm') })], needs: [bin({ sh: x86 })] },
      { bin: '-> usr/bin', 'usr/bin/sh': '-> n0/bin/sh', etc: '755/', tmp: '1777/' },
    ],
    [
      'ignores /proc, /dev and /sys of packages',
      { packages: [dir({ proc: file(), dev: dir({ null: file() }), sys: link('/tmp') })] },
      { proc: undefined, dev: undefined, 'dev/null': undefined, sys: undefined },
    ],
    [
      'omits files that the runtime mounts',
      {
        packages: [
          dir({ etc: dir({ hosts: file(), hostname: link('/proc/x'), 'resolv.conf': dir(), motd: file() }) }),
        ],
      },
      {
        'etc/hosts': undefined,
        'etc/hostname': undefined,
        'etc/resolv.conf': undefined,
        'etc/motd': '-> p0/etc/motd',
      },
    ],
    [
      'keeps names that are not ASCII',
      { packages: [dir({ share: dir({ [utf8('ä🐋')]: file() }) })] },
      { [utf8('share/ä🐋')]: `-> p0/share/${utf8('ä🐋')}` },
    ],
    [
      'keeps names that are not UTF-8',
      { packages: [dir({ lib: dir({ '\xff': dir({ a: file() }), '\xfe': file() }) })] },
      { 'lib/\xff': '-> p0/lib/\xff', 'lib/\xfe': '-> p0/lib/\xfe' },
    ],

    [
      'adds /usr/bin/env to the programs of a single package in /usr/bin',
      { packages: [dir({ usr: dir({ bin: dir({ x: script }) }) }), bin({ env: x86 })] },
      { 'usr/bin/env': '-> p1/bin/env', 'usr/bin/x': '-> p0/usr/bin/x' },
    ],
    ['has no shell if no store path has one', {}, { 'usr/bin/sh': undefined, 'usr/bin/env': undefined }],
    [
      'uses /bin/sh and /usr/bin/env from dependencies',
      { packages: [bin({ a: x86 })], needs: [dir(), bin({ sh: x86 }), bin({ env: x86, sh: x86 })] },
      { 'usr/bin/sh': '-> n1/bin/sh', 'usr/bin/env': '-> n2/bin/env' },
    ],
    [
      'prefers those of packages',
      { packages: [bin({ a: x86 }), bin({ sh: x86, env: x86 })], needs: [bin({ sh: x86, env: x86 })] },
      { 'usr/bin/sh': '-> p1/bin/sh', 'usr/bin/env': '-> p1/bin/env' },
    ],
    [
      'keeps the /bin/sh of a package, whatever its type',
      { packages: [bin({ sh: file('text') })], needs: [bin({ sh: x86 })] },
      { 'usr/bin/sh': '-> p0/bin/sh' },
    ],
    [
      'ignores programs for another architecture',
      { needs: [bin({ sh: arm, env: arm }), bin({ sh: x86 })] },
      { 'usr/bin/sh': '-> n1/bin/sh', 'usr/bin/env': undefined },
    ],
    [
      'uses programs for arm64 on arm64',
      { needs: [bin({ sh: x86, env: x86 }), bin({ sh: arm })], platform: arm64 },
      { 'usr/bin/sh': '-> n1/bin/sh', 'usr/bin/env': undefined },
    ],
    [
      'uses scripts, which run everywhere',
      { needs: [bin({ sh: script, env: script })], platform: arm64 },
      { 'usr/bin/sh': '-> n0/bin/sh', 'usr/bin/env': '-> n0/bin/env' },
    ],
    [
      'uses links to programs, under the name of the link',
      { needs: [bin({ sh: link('bash'), bash: x86 }), bin({ env: link('../../n0/bin/bash') })] },
      { 'usr/bin/sh': '-> n0/bin/sh', 'usr/bin/env': '-> n1/bin/env' },
    ],
    [
      'ignores files that only look like programs',
      {
        needs: [
          bin({ sh: file(''), env: file('\x7fELF') }),
          bin({ sh: dir(), env: dir({ x: x86 }) }),
          bin({ sh: link('gone'), env: link('env') }),
          bin({ sh: file('text of more than twenty bytes'), env: file('\x7fELF'.padEnd(40, '\0')) }),
          x86,
          bin({ sh: x86, env: x86 }),
        ],
      },
      { 'usr/bin/sh': '-> n5/bin/sh', 'usr/bin/env': '-> n5/bin/env' },
    ],
    [
      'ignores links to programs of this machine',
      { needs: [bin({ sh: link(process.execPath) }), bin({ sh: script })] },
      { 'usr/bin/sh': '-> n1/bin/sh' },
    ],
  ]
  for (const [what, image, expected] of rows) {
    it(what, async () => {
      const found = await rootfsOf(image)
      const actual = Object.fromEntries(Object.keys(expected).map((path) => [path, found.get(path)]))
      assert.deepEqual(actual, expected)
    })
  }

  const example: Image = {
    packages: [
      dir({ B: file(), 'a-b': file(), a: dir({ c: file() }), 'a.b': file(), bin: dir({ x: x86, sh: x86 }) }),
      dir({ bin: dir({ x: file(), 'x-y': file() }), sbin: link('bin'), etc: dir({ z: file(), y: file() }) }),
    ],
  }

  it('lists directories before their contents, and names in byte order', async () => {
    const paths = [...(await rootfsOf(example)).keys()]
    const top = paths.filter((path) => !path.includes('/'))
    assert.deepEqual(top, [...top].sort())
    assert.deepEqual(top.slice(0, 5), ['B', 'a', 'a-b', 'a.b', 'bin'])
    // With \0 between names, byte order is the order of the tree.
    const keys = paths.map((path) => path.replaceAll('/', '\0'))
    assert.deepEqual(keys, [...keys].sort())
    const known = new Set(paths)
    for (const path of paths.filter((one) => one.includes('/'))) {
      assert.ok(known.has(path.slice(0, path.lastIndexOf('/'))), path)
    }
  })

  it('is deterministic, including its warnings', async () => {
    const { packages, closure } = makeStore(example)
    const first = await rootfs(localContents, { packages, closure, platform: amd64 })
    const [p0, p1] = packages
    assert.deepEqual(first.warnings, [
      `/usr/bin/x is in two packages: ${p0}/bin/x is used, ${p1}/bin/x is ignored`,
    ])
    assert.deepEqual(await rootfs(localContents, { packages, closure, platform: amd64 }), first)
  })

  it('is packed with its paths, modes and groups', async () => {
    const { packages, closure } = makeStore(example)
    const { entries } = await rootfs(localContents, { packages, closure, platform: amd64 })
    const archive = Buffer.concat([...tarBlocks(entries), trailer])
    const groups = { 'etc/shadow': 42, 'etc/gshadow': 42, 'var/mail': 8 }
    const members = readWithPython(archive, 'whole', groups)
    const modes = new Map(members.map(({ path, mode }) => [path, mode]))
    assert.deepEqual(
      members.map(({ path }) => path),
      entries.map(({ path }) => path),
    )
    assert.equal(modes.get('tmp'), 0o1777)
    assert.equal(modes.get('root'), 0o700)
    assert.equal(modes.get('etc/shadow'), 0o640)
    assert.equal(modes.get('var/mail'), 0o2775)
  })
})
