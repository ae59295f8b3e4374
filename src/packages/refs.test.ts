import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { matchesGlob } from './glob.ts'
import { allowedRefs, fetchable, isNarrow, looksLikeCommit, refsByName } from './refs.ts'

const commit = 'c'.repeat(40)
const refsOf = (...names: string[]) => new Map(names.map((name) => [name, commit]))

describe('a pattern of refs', () => {
  it('matches as a regular expression would, with `*` for anything', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 12 })
    fc.assert(
      fc.property(text, text, (pattern, name) => {
        const parts = pattern.split('*').map((part) => RegExp.escape(part))
        const expression = new RegExp(`^${parts.join('.*')}$`)
        assert.equal(matchesGlob(pattern, name), expression.test(name))
      }),
    )
  })

  it('takes bounded time for any number of stars', () => {
    assert.equal(
      matchesGlob('refs/heads/' + 'a*'.repeat(50) + 'b', 'refs/heads/' + 'a'.repeat(20_000)),
      false,
    )
  })

  it('omits pull requests unless it names them', () => {
    const refs = refsOf('HEAD', 'refs/heads/main', 'refs/heads/a/b', 'refs/pull/1/head', 'refs/tags/v1')
    const kept = (...patterns: string[]) => [...allowedRefs(refs, patterns).keys()]
    assert.deepEqual(kept('refs/heads/*', 'refs/tags/*'), [
      'HEAD',
      'refs/heads/main',
      'refs/heads/a/b',
      'refs/tags/v1',
    ])
    assert.deepEqual(kept('refs/heads/main'), ['HEAD', 'refs/heads/main'])
    assert.deepEqual(kept('refs/*'), [...refs.keys()])
  })

  it('is fetched with a single star that matches at least as much', () => {
    const parts = fc.array(fc.constantFrom('a', 'b', '/', '*'), { maxLength: 8 })
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        const [pattern, name] = [`refs/${left.join('')}`, `refs/${right.join('').replaceAll('*', '')}`]
        const [wide = ''] = fetchable([pattern])
        assert.equal(wide.split('*').length, 2)
        if (matchesGlob(pattern, name)) assert.ok(matchesGlob(wide, name))
      }),
    )
    assert.equal(isNarrow(['refs/heads/*', 'refs/tags/v*']), true)
    assert.equal(isNarrow(['refs/heads/*', 'refs/*']), false)
  })
})

describe('a tag', () => {
  it('names a branch, otherwise a tag, otherwise another ref; never a full commit', () => {
    const refs = new Map([
      ['HEAD', 'head'],
      ['refs/deploy/x', 'other'],
      ['refs/tags/x', 'tag'],
      ['refs/tags/v1', 'tag'],
      ['refs/heads/v1', 'branch'],
      ['refs/heads/a/b', 'no tag has a slash'],
      [`refs/heads/${commit}`, 'a trap'],
    ])
    const named = [...refsByName(refs)].map(([name, ref]) => [name, ref.commit])
    assert.deepEqual(Object.fromEntries(named), { v1: 'branch', x: 'tag' })
  })

  const rows: [string, boolean][] = [
    ['deadbeef', true],
    ['ABCDEF1', true],
    ['1234', true],
    ['v1.2-3-gabcdef1', true],
    ['nixos-24.05', false],
    ['nixos-unstable', false],
    ['main', false],
    ['v1', false],
  ]
  for (const [tag, expected] of rows) {
    it(`${tag} ${expected ? 'may' : 'cannot'} be taken for a commit by a forge`, () => {
      assert.equal(looksLikeCommit(tag), expected)
    })
  }
})
