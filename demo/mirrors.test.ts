import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findMirrors } from './mirrors.ts'

test('one line per source, with options and comments; others are skipped', () => {
  const text = `
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [signed-by=/x.gpg arch=amd64] https://vendor.example/apt nodistro main
deb https://vendor.example/sdk cloud-sdk-bookworm main
deb [arch=amd64] http://mirror.example/debian trixie main contrib # comment
deb http://mirror.example/security trixie-security main
`
  assert.deepEqual(findMirrors([{ name: 'sources.list', text }]), {
    archive: 'http://mirror.example/debian',
    security: 'http://mirror.example/security',
  })
})

test('stanzas, with continuation lines; disabled ones are skipped', () => {
  const text = `
Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: sid
Components: main

Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: contrib main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
`
  assert.deepEqual(findMirrors([{ name: 'debian.sources', text }]), {
    archive: 'http://mirror.example/debian',
    security: undefined,
  })
})

test('a system that is not Debian has no mirror', () => {
  const text =
    'deb http://mirror.example/ubuntu jammy main\ndeb http://mirror.example/ubuntu jammy-security main\n'
  assert.deepEqual(findMirrors([{ name: 'sources.list', text }]), { archive: undefined, security: undefined })
})
