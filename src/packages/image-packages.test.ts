import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { parseImageName } from '../image/name.ts'
import { builtIn, recipes } from '../image/recipes.ts'
import { denied, found, invalid, missing } from './resolution-testing.ts'
import { choosePackages } from './choose.ts'
import type { Resolution } from './resolution.ts'
import { decideWords, packagesOf } from './image-packages.ts'

const near = missing('near')
const refused = denied('is not served')
const fails = invalid('does not evaluate')
const other: Resolution = { status: 'invalid', kind: 'other', reason: 'is a function' }

const recipeOf = (name: string) => builtIn(name) ?? { packages: [] }

/** What a name means in a set with these packages and others. */
function decide(name: string, has: readonly string[], also: Readonly<Record<string, Resolution>> = {}) {
  const request = parseImageName(name)
  const at = (each: string) => also[each] ?? (has.includes(each) ? found(each) : near)
  const decided = decideWords(request, new Map(request.words.map((word) => [word, at(word)])), recipeOf)
  const names = packagesOf(decided).flatMap((each) => each.names)
  const chosen = () => choosePackages(decided, new Map(names.map((each) => [each, at(each)])))
  return { decided, chosen }
}

describe('decideWords', () => {
  const rows: [name: string, word: Resolution, recipes: string[], packages: string[]][] = [
    ['ci/git', near, ['ci'], ['git']],
    ['ci/git', found('ci'), [], ['ci', 'git']],
    // Something has that name, but it is not a package.
    ['ci/git', other, ['ci'], ['git']],
    // The package exists but is unavailable: this must not result in another image.
    ['ci/git', fails, [], ['ci', 'git']],
    ['ci/git', refused, [], ['ci', 'git']],
    ['recipe/ci/git', found('ci'), ['ci'], ['git']],
    ['shell/ci', found('ci'), ['shell'], ['ci']],
    ['shell/ci', near, ['ci', 'shell'], []],
  ]
  for (const [name, word, expected, packages] of rows) {
    it(`of ${name} where ci is ${word.status}: [${expected.join()}] and [${packages.join()}]`, () => {
      const { decided } = decide(name, ['shell', 'git'], { ci: word })
      assert.deepEqual([decided.recipes.map((each) => each.name), decided.packages], [expected, packages])
    })
  }
})

describe('packagesOf', () => {
  const namesIn = (name: string) => packagesOf(decide(name, []).decided).map(({ names }) => names.join('|'))
  it('adds the packages of every image to the requested ones', () => {
    assert.deepEqual(namesIn('git'), ['git', 'cacert', 'iana-etc'])
    assert.deepEqual(
      namesIn('shell/git/cacert/nano').join(),
      'bashInteractive,cacert,coreutils,git,moreutils,nano,iana-etc',
    )
  })

  it('includes shell in ci, and ci and compat in devcontainer', () => {
    const isIn = (some: string, all: string) => {
      const names = new Set(namesIn(all))
      assert.deepEqual(
        namesIn(some).filter((name) => !names.has(name)),
        [],
      )
    }
    isIn('shell', 'ci')
    isIn('ci', 'devcontainer')
    isIn('compat', 'devcontainer')
    assert.deepEqual(recipes.shell.packages, ['bashInteractive', 'coreutils', 'moreutils', 'nano'])
  })

  it('requires a package if any recipe requires it', () => {
    const needs = new Map(
      packagesOf(decide('compat/nix-ld', []).decided).map(({ names, need }) => [names[0], need]),
    )
    assert.equal(needs.get('nix-ld'), 'required')
    assert.equal(needs.get('cacert'), 'optional')
  })
})

describe('recipes with packages that the set lacks', () => {
  const gcc = 'gcc-unwrapped.lib'
  const attributes = (name: string, has: string[], also?: Record<string, Resolution>) =>
    decide(name, has, also)
      .chosen()
      .packages.map((each) => each.attribute)

  it('use the first of several names that the set has', () => {
    assert.deepEqual(attributes('compat', ['zlib', gcc, 'gcc.cc.lib']), [gcc, 'zlib'])
    assert.deepEqual(attributes('compat', ['zlib', gcc, 'stdenv.cc.cc.lib']), ['stdenv.cc.cc.lib', 'zlib'])
    assert.deepEqual(attributes('compat', ['zlib', gcc], { 'stdenv.cc.cc.lib': refused }), [gcc, 'zlib'])
  })

  it('omit optional packages, with a warning', () => {
    const { packages, warnings } = decide('compat', ['zlib', gcc]).chosen()
    assert.equal(packages.length, 2)
    assert.ok(
      warnings.includes('the package set has no usable nix-ld for `compat`: omitted'),
      warnings.join(),
    )
    assert.deepEqual(attributes('compat', ['zlib', gcc], { 'nix-ld': fails }), [gcc, 'zlib'])
    assert.deepEqual(attributes('compat', ['zlib', gcc, 'nix-ld']), [gcc, 'nix-ld', 'zlib'])
  })

  it('fail on temporary errors, rather than use another package', () => {
    const passing: Resolution = { status: 'invalid', kind: 'passing', reason: 'took too much memory' }
    for (const name of ['stdenv.cc.cc.lib', 'nix-ld', 'zlib']) {
      assert.throws(decide('compat', ['zlib', gcc, 'stdenv.cc.cc.lib'], { [name]: passing }).chosen, {
        code: 'PACKAGE_INVALID',
        message: `${name} (for \`compat\`): took too much memory`,
      })
    }
    assert.deepEqual(attributes('compat', ['zlib', 'stdenv.cc.cc.lib'], { [gcc]: passing }), [
      'stdenv.cc.cc.lib',
      'zlib',
    ])
  })

  const cases: [name: string, has: string[], message: string][] = [
    [
      'shell/x',
      ['x', 'coreutils', 'moreutils', 'nano'],
      'Could not find Nix packages: [bashInteractive]. The package set has no bashInteractive, which `shell` needs.',
    ],
    [
      'shell/y',
      ['coreutils'],
      'Could not find Nix packages: [bashInteractive moreutils nano y]. For y, did you mean near?' +
        ' The package set has no bashInteractive, moreutils or nano, which `shell` needs.',
    ],
    [
      'shell/nano',
      ['bashInteractive', 'coreutils', 'moreutils'],
      'Could not find Nix packages: [nano]. For nano, did you mean near?',
    ],
    [
      'compat',
      ['zlib'],
      'Could not find Nix packages: [stdenv.cc.cc.lib]. The package set has no stdenv.cc.cc.lib' +
        ' (nor gcc-unwrapped.lib or gcc.cc.lib), which `compat` needs.',
    ],
  ]
  for (const [name, has, message] of cases) {
    it(`refuse ${name} where there is only ${has.join()}`, () => {
      assert.throws(decide(name, has).chosen, (error) => {
        assert.ok(error instanceof NixeryError)
        assert.deepEqual([error.code, error.message], ['PACKAGE_UNKNOWN', message])
        return true
      })
    })
  }

  it('report which recipe needs a package, and how to get the recipe instead of the package', () => {
    const all = ['coreutils', 'moreutils', 'nano']
    const messageOf = (run: () => unknown): string => {
      try {
        run()
      } catch (error) {
        return error instanceof Error ? error.message : ''
      }
      return 'none'
    }
    assert.equal(
      messageOf(decide('shell', all, { bashInteractive: refused }).chosen),
      'bashInteractive (for `shell`): is not served',
    )
    assert.equal(
      messageOf(decide('ci/nano', all, { ci: refused }).chosen),
      'ci: is not served; `recipe/ci` is the meta-package',
    )
  })
})
