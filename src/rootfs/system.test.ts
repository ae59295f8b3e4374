import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { tarBlocks, trailer } from '../layers/archive.ts'
import { dir, file, link } from '../layers/testing.ts'
import { bin, buildRootfs, rootfsOf, script, short, type Image } from './testing.ts'

const folders = {
  bin: '-> usr/bin',
  etc: '755/',
  'etc/pam.d': '755/',
  home: '755/',
  media: '755/',
  mnt: '755/',
  nix: '755/',
  'nix/store': '755/',
  opt: '755/',
  root: '700/',
  run: '755/',
  'run/lock': '1777/',
  sbin: '-> usr/bin',
  srv: '755/',
  tmp: '1777/',
  usr: '755/',
  'usr/bin': '755/',
  'usr/local': '755/',
  'usr/local/bin': '755/',
  'usr/local/etc': '755/',
  'usr/local/include': '755/',
  'usr/local/lib': '755/',
  'usr/local/sbin': '755/',
  'usr/local/share': '755/',
  'usr/local/src': '755/',
  'usr/sbin': '-> bin',
  var: '755/',
  'var/cache': '755/',
  'var/empty': '555/',
  'var/lib': '755/',
  'var/lock': '-> /run/lock',
  'var/log': '755/',
  'var/mail': '2775/',
  'var/opt': '755/',
  'var/run': '-> /run',
  'var/spool': '755/',
  'var/spool/mail': '-> ../mail',
  'var/tmp': '1777/',
}

describe('an image without packages', () => {
  it('has the folders and configuration files of a Debian system', async () => {
    const found = await rootfsOf({})
    const files = [...found].filter(([path]) => !(path in folders)).map(([path]) => path)
    assert.deepEqual(files, [
      'etc/group',
      'etc/gshadow',
      'etc/login.defs',
      'etc/nsswitch.conf',
      'etc/os-release',
      'etc/pam.d/other',
      'etc/passwd',
      'etc/shadow',
      'etc/shells',
    ])
    for (const path of files) found.delete(path)
    assert.deepEqual(Object.fromEntries(found), folders)
  })

  it('has the users and groups of Debian, without valid passwords', async () => {
    const found = await rootfsOf({})
    const rows = (path: string) =>
      (found.get(path) ?? '')
        .replace(/^\d+ /, '')
        .trimEnd()
        .split('\n')
        .map((line) => line.split(':'))
    const users = rows('etc/passwd')
    const number = (name: string) =>
      users
        .find(([one]) => one === name)
        ?.slice(2, 4)
        .join(':')
    const expected = { root: '0:0', daemon: '1:1', mail: '8:8', 'www-data': '33:33', nobody: '65534:65534' }
    for (const [name, ids] of Object.entries(expected)) assert.equal(number(name), ids)
    assert.ok(users.every((fields) => fields.length === 7 && fields[1] === 'x'))
    const groups = new Map(rows('etc/group').map(([name, , gid]) => [name, gid]))
    assert.deepEqual(
      ['root', 'shadow', 'users', 'nogroup', 'staff'].map((name) => groups.get(name)),
      ['0', '42', '100', '65534', '50'],
    )
    // Each user's group exists, and each user and group has a line in the shadow files.
    const gids = new Set(groups.values())
    assert.ok(users.every(([, , , gid]) => gids.has(gid)))
    const shadow = rows('etc/shadow')
    assert.deepEqual(
      shadow.map(([name, password, , ...rest]) => [name, password, rest.length]),
      users.map(([name]) => [name, '*', 6]),
    )
    assert.deepEqual(
      rows('etc/gshadow').map(([name, password]) => [name, password]),
      [...groups.keys()].map((name) => [name, '*']),
    )
    assert.match(found.get('etc/shadow') ?? '', /^640 /)
  })

  it('does not identify as another distribution', async () => {
    const text = (await rootfsOf({})).get('etc/os-release') ?? ''
    assert.match(text, /^644 ID=nixery$/m)
    assert.match(text, /^PRETTY_NAME=/m)
    assert.doesNotMatch(text, /ID_LIKE|BUILD_ID/)
    const withBuildId = (await rootfsOf({ buildId: 'a1b2' })).get('etc/os-release')
    assert.equal(withBuildId, `${text}BUILD_ID=a1b2\n`)
  })

  it('allows only root to switch users without a password', async () => {
    const text = (await rootfsOf({})).get('etc/pam.d/other') ?? ''
    assert.match(text, /^644 auth sufficient pam_rootok\.so\nauth required pam_unix\.so\n/)
    assert.doesNotMatch(text, /pam_permit/)
  })

  it('adds less than 40 kB to the last layer', async () => {
    const { entries, env, warnings } = await buildRootfs({})
    const archive = Buffer.concat([...tarBlocks(entries), trailer])
    assert.ok(gzipSync(archive, { level: 1 }).length < 5_000)
    assert.ok(archive.length < 60_000)
    assert.deepEqual([env, warnings], [[], []])
  })

  it('is read by GNU tar with its owners and modes', async () => {
    const { entries } = await buildRootfs({})
    const archive = Buffer.concat([...tarBlocks(entries), trailer])
    const listed = execFileSync('tar', ['-tvf', '-', '--numeric-owner'], { input: archive }).toString()
    assert.match(listed, /^-rw-r----- 0\/42 +\d+ .* etc\/shadow$/m)
    assert.match(listed, /^drwxrwsr-x 0\/8 +0 .* var\/mail\/$/m)
  })
})

describe('a system', () => {
  const rows: [
    what: string,
    image: Image,
    found: Readonly<Record<string, string | undefined>>,
    warnings?: string[],
  ][] = [
    [
      'keeps the contents of packages in its folders, with the modes of Debian',
      { packages: [dir({ var: dir({ log: dir({ a: file() }), own: file() }), opt: dir({ b: file() }) })] },
      {
        'var/log': '755/',
        'var/log/a': '-> p0/var/log/a',
        'var/own': '-> p0/var/own',
        'opt/b': '-> p0/opt/b',
      },
    ],
    [
      'has the contents of /var/run of packages in /run',
      {
        packages: [
          dir({ var: dir({ run: dir({ a: file(), b: dir({ c: file() }) }) }) }),
          dir({ run: dir({ a: file() }), var: dir({ run: dir({ d: file() }) }) }),
        ],
      },
      {
        'var/run': '-> /run',
        run: '755/',
        'run/a': '-> p1/run/a',
        'run/b': '-> p0/var/run/b',
        'run/d': '-> p1/var/run/d',
      },
    ],
    [
      'replaces files of packages by its folders, with a warning',
      { packages: [dir({ var: link('/data'), home: file(), usr: dir({ local: link('/opt') }) })] },
      { 'var/tmp': '1777/', home: '755/', 'usr/local/bin': '755/' },
      [
        'p0/home is ignored: /home is a directory',
        'p0/usr/local is ignored: /usr/local is a directory',
        'p0/var is ignored: /var is a directory',
      ],
    ],
    [
      'keeps the configuration files of a package, including dangling links',
      { packages: [dir({ etc: dir({ shadow: link('/run/shadow'), 'os-release': file() }) })] },
      { 'etc/shadow': '-> p0/etc/shadow', 'etc/os-release': '-> p0/etc/os-release' },
    ],
    [
      'has programs of usr/local in /usr/local/bin',
      {
        packages: [dir({ usr: dir({ local: dir({ bin: dir({ a: script }) }) }), sbin: dir({ b: script }) })],
      },
      { 'usr/local/bin/a': '-> p0/usr/local/bin/a', 'usr/bin/b': '-> p0/sbin/b', 'usr/local/sbin': '755/' },
    ],
    [
      'lists its shells in /etc/shells',
      { packages: [bin({ zsh: script, bash: script, cat: script, sh: link('bash') })] },
      { 'etc/shells': '644 /bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/zsh\n/usr/bin/zsh\n' },
    ],
    ['has no sudoers without sudo', { packages: [bin({ su: script })] }, { 'etc/sudoers': undefined }],
    [
      'has sudoers with sudo',
      { packages: [bin({ sudo: script })] },
      { 'etc/sudoers': '440 root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n' },
    ],
  ]
  for (const [what, image, expected, warnings = []] of rows) {
    it(what, async () => {
      const found = await rootfsOf(image)
      assert.deepEqual(
        Object.fromEntries(Object.keys(expected).map((path) => [path, found.get(path)])),
        expected,
      )
      const made = await buildRootfs(image)
      assert.deepEqual(made.warnings.map(short), warnings)
    })
  }

  it('has certificates under all usual names', async () => {
    const names = [
      'etc/ssl/certs/ca-bundle.crt',
      'etc/ssl/certs/ca-certificates.crt',
      'etc/pki/tls/certs/ca-bundle.crt',
    ]
    const certs = (name: string) => dir({ etc: dir({ ssl: dir({ certs: dir({ [name]: file() }) }) }) })
    const pki = dir({ etc: dir({ pki: dir({ tls: dir({ certs: dir({ 'ca-bundle.crt': file() }) }) }) }) })
    const images: [Image, string | undefined][] = [
      [{ packages: [certs('ca-bundle.crt')] }, 'p0/etc/ssl/certs/ca-bundle.crt'],
      [{ packages: [certs('ca-certificates.crt')] }, 'p0/etc/ssl/certs/ca-certificates.crt'],
      [{ packages: [pki] }, 'p0/etc/pki/tls/certs/ca-bundle.crt'],
      [{ packages: [dir()], needs: [certs('ca-bundle.crt')] }, 'n0/etc/ssl/certs/ca-bundle.crt'],
      [{ packages: [certs('other.crt')] }, undefined],
      // A link to a folder outside the image has no certificates.
      [
        {
          packages: [dir({ etc: dir({ ssl: link('/host/ssl') }) })],
          needs: [certs('ca-bundle.crt')],
        },
        'n0/etc/ssl/certs/ca-bundle.crt',
      ],
    ]
    for (const [image, target] of images) {
      const found = await rootfsOf(image)
      const expected = target === undefined ? undefined : `-> ${target}`
      assert.deepEqual(
        names.map((name) => found.get(name)),
        names.map(() => expected),
      )
    }
  })
})
