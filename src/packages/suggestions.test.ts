import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nameFilter } from './policy.ts'
import { suggestions } from './suggestions.ts'

const top = [
  'cacert',
  'gcc',
  'git',
  'gitFull',
  'hello',
  'htop',
  'jdk',
  'jdk17',
  'python3Packages',
  'stdenv',
  'tcacert',
]
const requests = ['pip', 'requests', 'requests-cache']
const odd = ['gtk+3', 'python3.11', "foo'", '_1password']
const all = () => true

describe('suggestions', () => {
  const rows: [name: string, path: string[], siblings: string[], suggested: string[]][] = [
    ['htpo', [], top, ['htop']],
    ['ca-certificates', [], top, ['cacert']],
    ['CA-certificates', [], top, ['cacert']],
    ['build-essential', [], top, ['stdenv', 'gcc']], // without gnumake
    ['openjdk-17-jdk', [], top, ['jdk17', 'jdk']],
    ['openjdk-99-jre-headless', [], top, ['jdk']],
    ['python3-requests', [], top, ['python3Packages.requests']],
    ['python3-requests', [], ['git'], []],
    ['ca-certificates', [], ['git'], []],
    ['python3Packages.reqeusts', ['python3Packages'], requests, ['python3Packages.requests']],
    ['python3Packages.ca-certificates', ['python3Packages'], requests, []],
    ['pyton3Packages.requests', [], top, ['python3Packages']],
    // Names that no image reference can contain, as they can be requested.
    ['gtk-plus-3', [], odd, ['gtk__plus__3']],
    ['gtk3', [], odd, ['gtk__plus__3']],
    ['gtk__plus__4', [], odd, ['gtk__plus__3']],
    ['python311', [], odd, ['python3__dot__11']],
    ['1pasword', [], odd, ['1password']],
    [
      'nodePackages.angular-cli',
      ['nodePackages'],
      ['@angular/cli'],
      ['nodePackages.at__angular__slash__cli'],
    ],
    ['odd+set.gti', ['odd+set'], ['git'], ['odd__plus__set.git']],
  ]
  for (const [name, path, siblings, suggested] of rows) {
    it(`of [${suggested.join()}] for ${name} in [${siblings.join()}]`, () => {
      assert.deepEqual(suggestions({ name, path, siblings }, all), suggested)
    })
  }

  it('skip names that may not be suggested', () => {
    const denying = nameFilter([], ['git', 'stdenv', 'python3Packages.requests'])
    const found = (name: string, path: string[], siblings: string[]) =>
      suggestions({ name, path, siblings }, (other) => denying.permits(other))
    assert.deepEqual(found('gitt', [], top), [])
    assert.deepEqual(found('build-essential', [], top), ['gcc'])
    assert.deepEqual(found('python3-requests', [], top), [])
    assert.deepEqual(found('python3Packages.request', ['python3Packages'], requests), [
      'python3Packages.requests-cache',
    ])
    const allowing = nameFilter(['python3Packages.*'], [])
    assert.deepEqual(
      suggestions({ name: 'pyton3Packages.requests', path: [], siblings: top }, (other) =>
        allowing.permits(other),
      ),
      ['python3Packages'],
    )
  })
})
