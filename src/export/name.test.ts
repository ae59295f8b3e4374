import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { defaultArchiveName, formatArchiveName, fullName, parseArchiveName } from './name.ts'

describe('the name of an image in an archive', () => {
  const good: [text: string, whole: string, full: string][] = [
    ['git', 'git:latest', 'docker.io/library/git:latest'],
    ['team/tools:v1', 'team/tools:v1', 'docker.io/team/tools:v1'],
    ['localhost:5000/a', 'localhost:5000/a:latest', 'localhost:5000/a:latest'],
    ['registry.example/a-b/c_d:1.0', 'registry.example/a-b/c_d:1.0', 'registry.example/a-b/c_d:1.0'],
  ]
  for (const [text, whole, full] of good) {
    it(`is read from ${text}`, () => {
      assert.equal(formatArchiveName(parseArchiveName(text)), whole)
      assert.equal(fullName(parseArchiveName(text)), full)
    })
  }

  for (const text of [
    '',
    'Git',
    'a//b',
    '/a',
    'a/',
    'a b',
    'a__b',
    'a:',
    'a:b:c',
    '-a',
    `a/${'b'.repeat(300)}`,
  ]) {
    it(`is not ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.throws(
        () => parseArchiveName(text),
        (error) => hasCode(error, 'NAME_INVALID', 'TAG_INVALID'),
      )
    })
  }

  it('is derived from the name of any image', () => {
    const names: [string, string][] = [
      ['shell/git', 'nixery/shell/git:latest'],
      ['python3Packages.requests', 'nixery/python3packages.requests:latest'],
      ['_1password/a__b', 'nixery/1password/a_b:latest'],
    ]
    for (const [name, expected] of names) {
      assert.equal(formatArchiveName(defaultArchiveName(name, { tag: 'latest' })), expected)
    }
    const segment = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,8}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,5})?$/)
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const made = defaultArchiveName(segments.join('/'), { tag: 'v1' })
        assert.deepEqual(parseArchiveName(formatArchiveName(made)), made)
      }),
    )
  })
})
