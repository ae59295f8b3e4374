import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { arm64 } from '../image/platform.ts'
import { dir, file, link, type Tree } from '../layers/testing.ts'
import { environment } from './environment.ts'
import { arm, bin, madeOf, rootfsOf, script, short, x86, type Image } from './testing.ts'

const lib = (children: Readonly<Record<string, Tree>>): Tree => dir({ lib: dir(children) })
const share = (children: Readonly<Record<string, Tree>>): Tree => dir({ share: dir(children) })
const locale = (name: string) => ({ locale: dir({ [name]: dir() }) })
const glibc = (children: Readonly<Record<string, Tree>> = {}) =>
  lib({ 'ld-linux-x86-64.so.2': x86, ...children })
const zones = share({ zoneinfo: dir({ UTC: file(), Europe: dir({ Berlin: file() }) }) })
const terminals = (name: string) => share({ terminfo: dir({ [name]: dir({ x: file() }) }) })

it('the environment of every image has no HOME, and the PATH of Docker', () => {
  assert.ok(environment.includes('PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'))
  assert.deepEqual(
    environment.map((one) => one.split('=')[0]),
    ['PATH', 'SSL_CERT_FILE', 'NIX_SSL_CERT_FILE'],
  )
})

describe('what is in the store paths of an image makes', () => {
  type Expected = {
    readonly env?: readonly string[]
    readonly found?: Readonly<Record<string, string | undefined>>
    readonly warnings?: readonly string[]
  }
  const [amd64At, arm64At] = ['lib64/ld-linux-x86-64.so.2', 'lib/ld-linux-aarch64.so.1']
  const rows: [what: string, image: Image, expected: Expected][] = [
    [
      'nothing of nothing',
      { packages: [bin({ a: script })] },
      { found: { 'etc/zoneinfo': undefined, lib64: undefined } },
    ],
    [
      'time zones of tzdata, wherever it is',
      { packages: [bin({ a: script })], needs: [share({ zoneinfo: dir({ other: file() }) }), zones] },
      {
        env: ['TZDIR=/usr/share/zoneinfo'],
        found: { 'usr/share/zoneinfo': '-> n1/share/zoneinfo', 'etc/zoneinfo': '-> n1/share/zoneinfo' },
      },
    ],
    [
      'descriptions of terminals of those that several packages have',
      { packages: [terminals('x'), terminals('y')], needs: [terminals('z')] },
      {
        env: ['TERMINFO_DIRS=/usr/share/terminfo'],
        found: {
          'usr/share/terminfo': '-> ../../share/terminfo',
          'share/terminfo/y': '-> p1/share/terminfo/y',
        },
      },
    ],
    [
      'descriptions of terminals of those that one has',
      { packages: [dir(), terminals('y')], needs: [terminals('z')] },
      { env: ['TERMINFO_DIRS=/usr/share/terminfo'], found: { 'usr/share/terminfo': '-> p1/share/terminfo' } },
    ],
    [
      'descriptions of terminals of those that packages need',
      { packages: [dir()], needs: [lib({ terminfo: dir() })] },
      { env: ['TERMINFO_DIRS=/usr/share/terminfo'], found: { 'usr/share/terminfo': '-> n0/lib/terminfo' } },
    ],
    [
      'no descriptions of terminals of a folder that is not in the image',
      { packages: [dir({ share: link('/host/share') })] },
      { found: { 'usr/share/terminfo': undefined } },
    ],
    [
      'a loader and no language of a glibc without C.UTF-8',
      { packages: [dir()], needs: [glibc({ locale: dir({ 'de_DE.utf8': dir() }) })] },
      { found: { [amd64At]: '-> n0/lib/ld-linux-x86-64.so.2' } },
    ],
    [
      'the language of one that has it',
      { packages: [dir()], needs: [glibc(locale('C.utf8'))] },
      { env: ['LANG=C.UTF-8'], found: { [amd64At]: '-> n0/lib/ld-linux-x86-64.so.2' } },
    ],
    [
      'the language of one that has an archive, as nixpkgs’',
      { packages: [dir()], needs: [glibc({ locale: dir({ 'locale-archive': file() }) })] },
      { env: ['LANG=C.UTF-8'] },
    ],
    [
      'the language and loader of musl',
      { packages: [dir()], needs: [lib({ 'ld-musl-x86_64.so.1': x86 })] },
      {
        env: ['LANG=C.UTF-8'],
        found: { 'lib/ld-musl-x86_64.so.1': '-> n0/lib/ld-musl-x86_64.so.1', lib64: undefined },
      },
    ],
    [
      'the loader for the image’s platform alone',
      {
        packages: [dir()],
        needs: [
          lib({ 'ld-linux-aarch64.so.1': x86 }),
          glibc(),
          lib({ 'ld-linux-aarch64.so.1': arm, ...locale('C.utf8') }),
        ],
        platform: arm64,
      },
      { env: ['LANG=C.UTF-8'], found: { [arm64At]: '-> n2/lib/ld-linux-aarch64.so.1', lib64: undefined } },
    ],
    [
      'the loader that the first package needs, and a warning, of several',
      {
        packages: [dir(), bin({ a: x86 }), bin({ b: x86 })],
        needs: [glibc(), glibc(locale('C.utf8')), dir()],
        references: { p1: ['n2'], n2: ['n1'], p2: ['n0'] },
      },
      {
        env: ['LANG=C.UTF-8'],
        found: { [amd64At]: '-> n1/lib/ld-linux-x86-64.so.2' },
        warnings: [
          '/lib64/ld-linux-x86-64.so.2 leads to n1/lib/ld-linux-x86-64.so.2, which comes first, and not to n0/lib/ld-linux-x86-64.so.2',
        ],
      },
    ],
    [
      'no warning of links to one loader',
      {
        packages: [lib({ 'ld-linux-x86-64.so.2': link('../../n0/lib/ld-linux-x86-64.so.2') })],
        needs: [glibc(locale('C.utf8'))],
      },
      { env: ['LANG=C.UTF-8'], found: { [amd64At]: '-> p0/lib/ld-linux-x86-64.so.2' } },
    ],
    [
      'a way to libraries that Nix’s own programs do not read, of nix-ld',
      { packages: [dir({ libexec: dir({ 'nix-ld': x86 }) })], needs: [glibc()] },
      { env: ['NIX_LD', 'NIX_LD_LIBRARY_PATH=/lib'], found: { [amd64At]: '-> p0/libexec/nix-ld' } },
    ],
    [
      'none of a nix-ld that is only needed',
      { packages: [dir()], needs: [dir({ libexec: dir({ 'nix-ld': x86 }) }), glibc()] },
      { found: { [amd64At]: '-> n1/lib/ld-linux-x86-64.so.2' } },
    ],
  ]
  for (const [what, image, { env = [], found = {}, warnings = [] }] of rows) {
    it(what, async () => {
      const made = await madeOf(image)
      // A store path depends on the folder that stands for the store.
      assert.deepEqual(
        made.env.map((one) => one.replace(/^(NIX_LD)=.*/, '$1')),
        env,
      )
      assert.deepEqual(
        made.warnings.map((one) => short(one)),
        warnings,
      )
      const tree = await rootfsOf(image)
      assert.deepEqual(Object.fromEntries(Object.keys(found).map((path) => [path, tree.get(path)])), found)
    })
  }
})
