import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { arm64 } from '../image/platform.ts'
import { dir, file, link, type Tree } from '../layers/testing.ts'
import { environment } from './environment.ts'
import { arm, bin, buildRootfs, rootfsOf, script, short, x86, type Image } from './testing.ts'

const lib = (children: Readonly<Record<string, Tree>>): Tree => dir({ lib: dir(children) })
const share = (children: Readonly<Record<string, Tree>>): Tree => dir({ share: dir(children) })
const locale = (name: string) => ({ locale: dir({ [name]: dir() }) })
const glibc = (children: Readonly<Record<string, Tree>> = {}) =>
  lib({ 'ld-linux-x86-64.so.2': x86, ...children })
const zones = share({ zoneinfo: dir({ UTC: file(), Europe: dir({ Berlin: file() }) }) })
const terminals = (name: string) => share({ terminfo: dir({ [name]: dir({ x: file() }) }) })

it('sets the PATH of Docker, and no HOME', () => {
  assert.ok(environment.includes('PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'))
  assert.deepEqual(
    environment.map((one) => one.split('=')[0]),
    ['PATH', 'SSL_CERT_FILE', 'NIX_SSL_CERT_FILE'],
  )
})

describe('the environment of an image', () => {
  type Expected = {
    readonly env?: readonly string[]
    readonly links?: Readonly<Record<string, string | undefined>>
    readonly warnings?: readonly string[]
  }
  const [amd64At, arm64At] = ['lib64/ld-linux-x86-64.so.2', 'lib/ld-linux-aarch64.so.1']
  const rows: [what: string, image: Image, expected: Expected][] = [
    [
      'is unchanged without special files',
      { packages: [bin({ a: script })] },
      { links: { 'etc/zoneinfo': undefined, lib64: undefined } },
    ],
    [
      'has the time zones of any tzdata in the closure',
      { packages: [bin({ a: script })], needs: [share({ zoneinfo: dir({ other: file() }) }), zones] },
      {
        env: ['TZDIR=/usr/share/zoneinfo'],
        links: { 'usr/share/zoneinfo': '-> n1/share/zoneinfo', 'etc/zoneinfo': '-> n1/share/zoneinfo' },
      },
    ],
    [
      'has the terminal descriptions of several packages',
      { packages: [terminals('x'), terminals('y')], needs: [terminals('z')] },
      {
        env: ['TERMINFO_DIRS=/usr/share/terminfo'],
        links: {
          'usr/share/terminfo': '-> ../../share/terminfo',
          'share/terminfo/y': '-> p1/share/terminfo/y',
        },
      },
    ],
    [
      'has the terminal descriptions of one package',
      { packages: [dir(), terminals('y')], needs: [terminals('z')] },
      { env: ['TERMINFO_DIRS=/usr/share/terminfo'], links: { 'usr/share/terminfo': '-> p1/share/terminfo' } },
    ],
    [
      'has the terminal descriptions of a dependency',
      { packages: [dir()], needs: [lib({ terminfo: dir() })] },
      { env: ['TERMINFO_DIRS=/usr/share/terminfo'], links: { 'usr/share/terminfo': '-> n0/lib/terminfo' } },
    ],
    [
      'has no terminal descriptions from a folder outside the image',
      { packages: [dir({ share: link('/host/share') })] },
      { links: { 'usr/share/terminfo': undefined } },
    ],
    [
      'has a loader, but no LANG, with a glibc without C.UTF-8',
      { packages: [dir()], needs: [glibc({ locale: dir({ 'de_DE.utf8': dir() }) })] },
      { links: { [amd64At]: '-> n0/lib/ld-linux-x86-64.so.2' } },
    ],
    [
      'has LANG with a glibc that has C.UTF-8',
      { packages: [dir()], needs: [glibc(locale('C.utf8'))] },
      { env: ['LANG=C.UTF-8'], links: { [amd64At]: '-> n0/lib/ld-linux-x86-64.so.2' } },
    ],
    [
      'has LANG with a glibc that has a locale archive, as in nixpkgs',
      { packages: [dir()], needs: [glibc({ locale: dir({ 'locale-archive': file() }) })] },
      { env: ['LANG=C.UTF-8'] },
    ],
    [
      'has LANG and the loader of musl',
      { packages: [dir()], needs: [lib({ 'ld-musl-x86_64.so.1': x86 })] },
      {
        env: ['LANG=C.UTF-8'],
        links: { 'lib/ld-musl-x86_64.so.1': '-> n0/lib/ld-musl-x86_64.so.1', lib64: undefined },
      },
    ],
    [
      'has only the loader for the platform of the image',
      {
        packages: [dir()],
        needs: [
          lib({ 'ld-linux-aarch64.so.1': x86 }),
          glibc(),
          lib({ 'ld-linux-aarch64.so.1': arm, ...locale('C.utf8') }),
        ],
        platform: arm64,
      },
      { env: ['LANG=C.UTF-8'], links: { [arm64At]: '-> n2/lib/ld-linux-aarch64.so.1', lib64: undefined } },
    ],
    [
      'has the loader that the first package needs, and a warning, if there are several',
      {
        packages: [dir(), bin({ a: x86 }), bin({ b: x86 })],
        needs: [glibc(), glibc(locale('C.utf8')), dir()],
        references: { p1: ['n2'], n2: ['n1'], p2: ['n0'] },
      },
      {
        env: ['LANG=C.UTF-8'],
        links: { [amd64At]: '-> n1/lib/ld-linux-x86-64.so.2' },
        warnings: [
          '/lib64/ld-linux-x86-64.so.2 links to n1/lib/ld-linux-x86-64.so.2, the first one; n0/lib/ld-linux-x86-64.so.2 is ignored',
        ],
      },
    ],
    [
      'has no warning about links to the same loader',
      {
        packages: [lib({ 'ld-linux-x86-64.so.2': link('../../n0/lib/ld-linux-x86-64.so.2') })],
        needs: [glibc(locale('C.utf8'))],
      },
      { env: ['LANG=C.UTF-8'], links: { [amd64At]: '-> p0/lib/ld-linux-x86-64.so.2' } },
    ],
    [
      'has the variables of nix-ld',
      { packages: [dir({ libexec: dir({ 'nix-ld': x86 }) })], needs: [glibc()] },
      { env: ['NIX_LD', 'NIX_LD_LIBRARY_PATH=/lib'], links: { [amd64At]: '-> p0/libexec/nix-ld' } },
    ],
    [
      'has no variables if nix-ld is only a dependency',
      { packages: [dir()], needs: [dir({ libexec: dir({ 'nix-ld': x86 }) }), glibc()] },
      { links: { [amd64At]: '-> n1/lib/ld-linux-x86-64.so.2' } },
    ],
  ]
  for (const [what, image, { env = [], links = {}, warnings = [] }] of rows) {
    it(what, async () => {
      const { env: variables, warnings: actual } = await buildRootfs(image)
      // The store path depends on the temporary folder.
      assert.deepEqual(
        variables.map((one) => one.replace(/^(NIX_LD)=.*/, '$1')),
        env,
      )
      assert.deepEqual(
        actual.map((one) => short(one)),
        warnings,
      )
      const tree = await rootfsOf(image)
      assert.deepEqual(Object.fromEntries(Object.keys(links).map((path) => [path, tree.get(path)])), links)
    })
  }
})
