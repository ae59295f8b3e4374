import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseIndex } from './debian-index.ts'
import { resolveClosure } from './closure.ts'

const stanza = (name: string, fields: Record<string, string> = {}): string =>
  Object.entries({ Package: name, Version: '1', Architecture: 'all', SHA256: 'ab', Size: '7', ...fields })
    .map(([key, value]) => `${key}: ${value}`)
    .join('\n')

const index = (...stanzas: string[]) => parseIndex([`${stanzas.join('\n\n')}\n`])

test('the fields of a package', () => {
  const found = index(
    stanza('app', {
      Version: '2:1.0-1',
      'Pre-Depends': 'libc6 (>= 2.36)',
      Depends: 'perl:any,\n shell | bash (>= 5),',
      Description: 'does things\n and more\n .\n at length',
      Homepage: 'https://example.org',
    }),
  ).find('app')
  assert.deepEqual(found, {
    name: 'app',
    version: '2:1.0-1',
    architecture: 'all',
    sha256: 'ab',
    size: 7,
    dependencies: [['libc6'], ['perl'], ['shell', 'bash']],
    summary: 'does things',
    homepage: 'https://example.org',
  })
})

test('the highest version wins, whatever the order of the lists', () => {
  const [old, updated] = [stanza('app', { Version: '1-1' }), stanza('app', { Version: '1-1+deb12u1' })]
  assert.equal(parseIndex([old, updated]).find('app')?.version, '1-1+deb12u1')
  assert.equal(parseIndex([updated, old]).find('app')?.version, '1-1+deb12u1')
  assert.equal(parseIndex([old]).find('missing'), undefined)
})

const names = (closure: { packages: { name: string }[] }): string[] =>
  closure.packages.map(({ name }) => name)

test('a closure prefers chosen packages to the first alternative', () => {
  const debian = index(
    stanza('app', { Depends: 'mta-a | mta-b, lib' }),
    stanza('other', { Depends: 'mta-b' }),
    ...['mta-a', 'mta-b', 'lib'].map((name) => stanza(name)),
  )
  assert.deepEqual(names(resolveClosure(debian, ['app'], new Set())), ['app', 'lib', 'mta-a'])
  const both = resolveClosure(debian, ['app', 'mta-b'], new Set())
  assert.deepEqual(names(both), ['app', 'lib', 'mta-b'])
  assert.deepEqual(both.dependencies.get('app'), ['lib', 'mta-b'])
})

test('a closure finds providers, skips ignored packages and lists missing ones', () => {
  const debian = index(
    stanza('app', { Depends: 'awk, debconf | cdebconf, nowhere' }),
    stanza('mawk', { Provides: 'awk' }),
    stanza('gawk', { Provides: 'awk (= 5)' }),
    stanza('cdebconf'),
  )
  const closure = resolveClosure(debian, ['app', 'absent'], new Set(['debconf']))
  assert.deepEqual(names(closure), ['app', 'gawk'])
  assert.deepEqual(closure.unresolved, ['absent', 'app: nowhere'])
})
