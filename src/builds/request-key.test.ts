import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseImageName } from '../image/name.ts'
import { createRequestKeys } from './request-key.ts'

const set = { set: { folder: '/set' }, revision: 'r', unchanged: () => Promise.resolve(true) }
const layering = {
  strategy: 'stable',
  maxLayers: 10,
  popularity: { version: '', counts: new Map() },
} as const

it('the key of a request distinguishes words, packages and recipes, but not their order', () => {
  const keyOf = createRequestKeys()
  const key = (name: string) => keyOf(parseImageName(name), set, layering, '')
  const different = [
    'ci/git',
    'git/ci',
    'recipe/ci/git',
    'shell/git',
    'ci/shell/git',
    'git',
    'compat/git',
    'arm64/ci/git',
  ]
  assert.equal(new Set(different.map(key)).size, different.length)
  assert.equal(key('ci/compat/git'), key('compat/ci/git'))
  assert.equal(key('recipe/shell/git'), key('shell/git'))
  assert.equal(key('ci/amd64/git'), key('ci/git'))
})

it('the key of a request depends on the index of versions only if it has versions', () => {
  const keyOf = createRequestKeys()
  for (const [name, isSame] of [
    ['git', true],
    ['git--2/htop', false],
  ] as const) {
    const request = parseImageName(name)
    let looks = 0
    const keys = [1, 2, 2].map((generation) =>
      keyOf(request, set, layering, '', () => {
        looks += 1
        return generation
      }),
    )
    // Reading the index takes as long as the rest of a cached pull.
    assert.equal(looks > 0, !isSame, name)
    assert.equal(keys[0] === keys[1], isSame, name)
    assert.equal(keys[1], keys[2])
  }
})

it('the key of a request distinguishes package sets with the same revision', () => {
  const keyOf = createRequestKeys()
  const request = parseImageName('git')
  const [one, other] = ['one', 'other'].map((name) => keyOf(request, { ...set, name }, layering, ''))
  assert.notEqual(one, other)
})
