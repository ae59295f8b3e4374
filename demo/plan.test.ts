import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ArchiveEntry } from './archive.ts'
import { assembleUnits } from './assemble.ts'
import type { DebPackage } from './debian-index.ts'
import { destinationOf } from './layout.ts'
import { writePlan } from './plan.ts'
import { wire } from './references.ts'
import { mainProgram, programs } from './units.ts'

const triplet = 'x86_64-linux-gnu'

const entry = (path: string, more: Partial<ArchiveEntry> = {}): ArchiveEntry => ({
  path,
  kind: more.target === undefined ? 'file' : 'link',
  target: undefined,
  executable: false,
  elf: undefined,
  shebang: undefined,
  inode: path,
  found: new Map(),
  repoints: new Map(),
  ...more,
})

const library = (soname: string, ...needed: string[]) => ({ elf: { interpreter: undefined, needed, soname } })
const program = (...needed: string[]) => ({
  executable: true,
  elf: { interpreter: '/lib64/ld-linux-x86-64.so.2', needed, soname: undefined },
})

/** Units of packages by name: their dependencies and contents. */
function makeUnits(packages: Record<string, [depends: string[], entries: ArchiveEntry[]]>) {
  const debs = Object.keys(packages).map((name): DebPackage => ({
    name,
    version: '1:2.0-3',
    architecture: 'amd64',
    sha256: 'ab',
    size: 1,
    dependencies: [],
    summary: `the ${name}`,
    homepage: undefined,
  }))
  const dependencies = new Map(Object.entries(packages).map(([name, [depends]]) => [name, depends]))
  const sources = Object.entries(packages).map(
    ([name, [, entries]]) => [name, { file: `${name}.deb`, sha256: 'ab', entries }] as const,
  )
  return assembleUnits({ packages: debs, dependencies, unresolved: [] }, new Map(sources), undefined, triplet)
}

const libc: [string[], ArchiveEntry[]] = [
  [],
  [
    entry(`lib/${triplet}/libc.so.6`, library('libc.so.6')),
    entry(`lib/${triplet}/ld-linux-x86-64.so.2`, library('ld-linux-x86-64.so.2')),
    entry('lib64/ld-linux-x86-64.so.2', { target: `/lib/${triplet}/ld-linux-x86-64.so.2` }),
  ],
]

function plans(units: ReturnType<typeof makeUnits>) {
  const wiring = wire(units)
  const write = (key: string): string => {
    const unit = units.get(key)
    assert.ok(unit)
    return writePlan(unit, wiring, { dynamicLinker: 'ld-linux-x86-64.so.2', files: new Map() })
  }
  return { wiring, write }
}

test('paths follow nixpkgs', () => {
  const cases: [string, string | undefined][] = [
    ['usr/sbin/x', 'bin/x'],
    ['usr/games/cowsay', 'bin/cowsay'],
    [`usr/lib/${triplet}/liba.so.1`, 'lib/liba.so.1'],
    ['lib64/ld.so', 'lib/ld.so'],
    ['usr/lib/python3/dist-packages/six.py', 'lib/python3.11/site-packages/six.py'],
    ['usr/share/perl5/HTTP/Date.pm', 'lib/perl5/site_perl/5.36.0/HTTP/Date.pm'],
    [`usr/lib/${triplet}/perl5/5.36/X.pm`, `lib/perl5/site_perl/5.36.0/${triplet}-thread-multi/X.pm`],
    ['usr/share/nodejs/semver/index.js', 'lib/node_modules/semver/index.js'],
    ['package/bin/node', 'bin/node'],
    ['var/lib/x', undefined],
    ['usr/share/lintian/overrides/x', undefined],
  ]
  for (const [from, to] of cases) assert.equal(destinationOf(from, triplet), to)
})

test('programs get the interpreter and the search path that they need', () => {
  const units = makeUnits({
    libc6: libc,
    liba: [['libc6'], [entry(`usr/lib/${triplet}/liba.so.1`, library('liba.so.1', 'libc.so.6'))]],
    app: [
      ['liba', 'libc6', 'data'],
      [
        entry('usr/bin/app', program('liba.so.1', 'libc.so.6')),
        entry('usr/bin/app2', { ...program('liba.so.1', 'libc.so.6'), inode: 'usr/bin/app' }),
      ],
    ],
    data: [[], [entry('usr/share/data/x')]],
  })
  const { wiring, write } = plans(units)
  assert.equal(
    write('app'),
    [
      'move . usr/bin',
      'patch @libc6@/lib/ld-linux-x86-64.so.2 @liba@/lib:@libc6@/lib bin/app',
      'propagate @data@',
      '',
    ].join('\n'),
  )
  const app = units.get('app')
  assert.ok(app)
  assert.deepEqual(wiring.of(app), { all: ['data', 'liba', 'libc6'], propagated: ['data'] })
  assert.equal(app.version, '2.0')
  assert.deepEqual(programs(app), ['app', 'app2'])
  assert.equal(mainProgram(app), 'app')
})

test('the C library is not patched, and a link to itself disappears', () => {
  const plan = plans(makeUnits({ libc6: libc })).write('libc6')
  assert.equal(plan.split('\n')[0], `rename lib/${triplet} lib`)
  assert.doesNotMatch(plan, /^(?:patch|link) /m)
})

test('links and scripts name store paths; scripts whose modules are elsewhere are wrapped', () => {
  const units = makeUnits({
    bash: [[], [entry('bin/bash', { executable: true })]],
    perl: [[], [entry('usr/bin/perl', { executable: true })]],
    'libmodule-perl': [['perl'], [entry('usr/share/perl5/Module.pm')]],
    data: [[], [entry('usr/share/data/file')]],
    tool: [
      ['perl', 'libmodule-perl', 'data'],
      [
        entry('usr/bin/tool', { executable: true, shebang: '/usr/bin/perl -w' }),
        entry("usr/bin/it's", { target: 'tool' }),
        entry('usr/sbin/other', { target: '../bin/tool' }),
        entry('usr/share/tool/file', { target: '/usr/share/data/file' }),
        entry('usr/share/doc/tool/example', { executable: true, shebang: '/bin/sh' }),
        entry('usr/lib/tool/run', { executable: true, shebang: '/bin/sh -e' }),
        entry('usr/lib/tool/ruby', { executable: true, shebang: '/usr/bin/ruby' }),
      ],
    ],
  })
  assert.deepEqual(plans(units).write('tool').split('\n'), [
    `move bin 'usr/bin/it'\\''s' usr/bin/tool usr/sbin/other`,
    'move . usr/lib usr/share',
    'link bin/other tool',
    'link share/tool/file @data@/share/data/file',
    `interpreter bin/tool '#!@perl@/bin/perl -w'`,
    `interpreter lib/tool/run '#!@bash@/bin/sh -e'`,
    "wrap bin/tool @bash@/bin/bash <<'END OF FILE'",
    'export PERL5LIB="@libmodule-perl@/lib/perl5/site_perl${PERL5LIB:+:$PERL5LIB}"',
    'END OF FILE',
    '',
  ])
})
