import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseImageName } from './name.ts'
import { decodeSpelling, encodeSpelling } from './spelling.ts'
import { compareVersions, foldVersion, formatVersioned, matchesVersion, splitVersion } from './version.ts'

describe('splitVersion', () => {
  for (const [text, name, version] of [
    ['python3--3.11', 'python3', '3.11'],
    ['nodejs--20.1.0-rc.1', 'nodejs', '20.1.0-rc.1'],
    ['python3Packages.requests--2', 'python3Packages.requests', '2'],
    ['gtk__plus__3--3.24', 'gtk__plus__3', '3.24'],
    ['lib-a_b--2_1', 'lib-a_b', '2-1'],
    ['a__dash__dash__b--1', 'a__dash__dash__b', '1'],
    ['x--unstable-2024-01-02', 'x', 'unstable-2024-01-02'],
    ['a--1--2', 'a', '1-2'],
  ] as const) {
    it(`splits ${text}`, () => {
      assert.deepEqual(splitVersion(text), { name, version })
      assert.deepEqual(parseImageName(text).packages, [text])
      assert.deepEqual(splitVersion(formatVersioned({ name, version })), { name, version })
    })
  }
  for (const text of ['git', 'iana-etc', 'a---b', 'a--', '--1', 'a--_']) {
    it(`finds no version in ${text}`, () => assert.equal(splitVersion(text), undefined))
  }
})

describe('versions', () => {
  it('are folded to the characters of image references', () => {
    for (const [version, folded] of [
      ['1.2+git', '1.2-git'],
      ['2.0~RC1', '2.0-rc1'],
      ['1..2', '1.2'],
      ['1.2.', '1.2'],
      ['0-unstable-2024-01-02', '0-unstable-2024-01-02'],
      ['9.1.0_p3', '9.1.0-p3'],
    ] as const) {
      assert.equal(foldVersion(version), folded)
      assert.equal(foldVersion(folded), folded)
    }
  })

  it('match by components', () => {
    for (const [wanted, version, matches] of [
      ['3.11', '3.11.4', true],
      ['3.1', '3.11.4', false],
      ['3', '3.11.4', true],
      ['3.11.4', '3.11.4', true],
      ['3.11.4.1', '3.11.4', false],
      ['1.1.1', '1.1.1w', true],
      ['20', '20.1.0-rc.1', true],
    ] as const) {
      assert.equal(matchesVersion(wanted, version), matches, `${wanted} ${version}`)
    }
  })

  // The table of Nix's manual for compareVersions (nix-env --upgrade).
  it('are ordered like Nix orders them', () => {
    for (const [older, newer] of [
      ['1.0', '2.3'],
      ['2.1', '2.3'],
      ['2.3pre1', '2.3'],
      ['2.3pre3', '2.3pre12'],
      ['2.3a', '2.3c'],
      ['2.3pre1', '2.3c'],
      ['2.3pre1', '2.3q'],
      ['3.9', '3.11'],
    ] as const) {
      assert.equal(compareVersions(older, newer), -1, `${older} ${newer}`)
      assert.equal(compareVersions(newer, older), 1, `${older} ${newer}`)
    }
    assert.equal(compareVersions('2.3', '2.3'), 0)
  })

  it('are ordered without contradictions, and a version matches itself', () => {
    const version = fc
      .string({ unit: fc.constantFrom('1', '2', '0', '.', '-', 'a', 'pre', '+') })
      .map(foldVersion)
    fc.assert(
      fc.property(version, version, (a, b) => {
        assert.equal(Math.sign(compareVersions(a, b)), 0 - Math.sign(compareVersions(b, a)))
        assert.ok(matchesVersion(a, a))
        assert.equal(foldVersion(a), a)
      }),
    )
  })
})

describe('names of attributes with two dashes', () => {
  it('are spelled, so that they are not taken for versions', () => {
    for (const attribute of ['a--b', 'x--1.2', 'a-b--c', '--', 'a--']) {
      const spelled = encodeSpelling(attribute)
      assert.equal(splitVersion(spelled), undefined, spelled)
      assert.equal(decodeSpelling(spelled), attribute)
    }
    assert.equal(encodeSpelling('iana-etc'), 'iana-etc')
  })
})
