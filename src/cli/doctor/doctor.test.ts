import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readConfig } from '../../config.ts'
import { checkClients } from './clients.ts'
import { checkDisk } from './disk.ts'
import { hostOf } from './network.ts'
import { checkNix, findingsOf } from './nix.ts'
import { checkPackages } from './packages.ts'
import { findingText } from './text.ts'

describe('hostOf', () => {
  const table: [address: string, host: string | undefined, port?: number][] = [
    ['https://github.com/NixOS/nixpkgs/archive/{channel}.tar.gz', 'github.com', 443],
    ['http://[::1]:8080/x', '::1', 8080],
    ['git@example.org:team/set.git', 'example.org', 22],
    ['ssh://git@example.org:2222/set', 'example.org', 2222],
    ['git+ssh://git@example.org/set', 'example.org', 22],
    ['github:NixOS/nixpkgs', 'github.com', 443],
    ['postgresql://nixery@db/nixery', 'db', 5432],
    ['/srv/packages', undefined],
    ['file:///srv/packages', undefined],
    ['path:/srv/packages', undefined],
  ]
  for (const [address, host, port] of table) {
    it(`finds the host of ${address}`, () => {
      const found = hostOf(address)
      assert.deepEqual([found?.host, found?.port], [host, port])
    })
  }
})

describe('findingsOf', () => {
  const table: [lines: string, fix: RegExp][] = [
    [
      "error: cannot connect to daemon at '/nix/var/nix/daemon-socket/socket': Connection refused",
      /nix-daemon\.socket/,
    ],
    ["error: user 'nixery' is not allowed to connect to the Nix daemon", /allowed-users/],
    ["error: the group 'nixbld' specified in 'build-users-group' does not exist", /groupadd/],
    ['error: cloning builder process: Operation not permitted', /--privileged/],
    ['error: writing to file: No space left on device', /nix-collect-garbage/],
    ['error: opening lock file "/nix/var/nix/db/big-lock": Permission denied', /NIX_REMOTE=daemon/],
    [
      "error: could not set permissions on '/nix/var/nix/profiles/per-user' to 755: Operation not permitted",
      /NIX_REMOTE=daemon.*NIXERY_ORIGIN=caches/,
    ],
  ]
  for (const [line, fix] of table) {
    it(`suggests a fix for “${line.slice(7, 50)}…”`, () => {
      const [finding] = findingsOf({ built: false, timedOut: false, lines: [line] })
      assert.equal(finding?.state, 'problem')
      assert.match(finding.fix ?? '', fix)
    })
  }

  it('warns about builds without a sandbox', () => {
    assert.deepEqual(
      findingsOf({ built: true, sandboxed: false }).map(({ state }) => state),
      ['ok', 'warning'],
    )
  })
})

describe('checkClients', () => {
  const config = { PORT: 8080, NIXERY_TLS_CERT: undefined, NIXERY_ROLE: 'all' } as const
  const states = (...containers: [string, string][]) =>
    checkClients(config, { docker: undefined, containers }).map(({ state }) => state)

  it('reports what podman needs without TLS', () => {
    const [, podman] = checkClients(config, { docker: undefined, containers: [] })
    assert.equal(podman?.state, 'warning')
    assert.match(podman.fix ?? '', /location = "127\.0\.0\.1:8080"/)
    assert.deepEqual(states(['nixery.conf', '[[registry]]\nlocation = "127.0.0.1:8080"\ninsecure = true']), [
      'ok',
      'ok',
    ])
    assert.deepEqual(states(['nixery.conf', '[[registry]]\nlocation = "127.0.0.1:8080"']), ['ok', 'warning'])
    assert.equal(checkClients({ ...config, NIXERY_TLS_CERT: '/cert' }).length, 1)
  })

  it('reports files that clients cannot read', () => {
    assert.deepEqual(states(['registries.conf', '[[registry]']), ['ok', 'warning', 'warning'])
    assert.equal(checkClients(config, { docker: '{', containers: [] })[0]?.state, 'warning')
  })
})

describe('the text of a finding', () => {
  const finding = {
    about: 'clients',
    state: 'warning',
    message: 'podman pulls over TLS from 127.0.0.1:8080\nand says: no',
    fix: 'use --tls-verify=false, or run: mkdir -p ~/.config/containers/registries.conf.d && echo done',
  } as const

  it('is wrapped to the width of the terminal and indented, but commands stay whole', () => {
    assert.deepEqual(findingText(finding, 60).split('\n'), [
      'clients    warning   podman pulls over TLS from',
      '                     127.0.0.1:8080',
      '                     and says: no',
      '                     to fix: use --tls-verify=false, or run:',
      '                     mkdir -p ~/.config/containers/registries.conf.d && echo done',
    ])
    assert.ok(findingText({ ...finding, fix: 'none' }, 1).includes('\n                     127.0.0.1:8080'))
  })

  it('is not wrapped elsewhere', () => {
    const [first, , fix] = findingText(finding, Infinity).split('\n')
    assert.equal(first, `clients    warning   ${finding.message.split('\n')[0]}`)
    assert.equal(fix, `                     to fix: ${finding.fix}`)
  })
})

describe('a process with a role', () => {
  const ofRole = (role: string) =>
    readConfig({ HOME: '/root', NIXERY_ROLE: role, NIXERY_DATABASE_URL: 'postgresql:///nixery' })

  it('is only checked for what it needs', async () => {
    const front = ofRole('front')
    const { signal } = new AbortController()
    assert.deepEqual([await checkNix(front, signal), await checkPackages(front)], [[], []])
    assert.ok((await checkDisk(front)).every(({ message }) => !message.includes('Nix store')))
    assert.deepEqual(checkClients(ofRole('worker')), [])
  })
})
