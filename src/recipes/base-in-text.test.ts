import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { baseIn, withBase } from './base-in-text.ts'
import { parseRecipe } from './parse.ts'

const pinned = `r.example/a:1@sha256:${'b'.repeat(64)}`

describe('locking a base', () => {
  it('keeps all other text of a recipe', () => {
    const toml =
      '# base = "not this"\npackages = ["base"]\n  base   =  \'r.example/a:1\' # why\n[env]\nbase = "x"\n'
    assert.equal(baseIn(toml, 'toml'), 'r.example/a:1')
    assert.equal(withBase(toml, 'toml', pinned), toml.replace('r.example/a:1', pinned))
    const json = '{ "env": {"base": "x"},\n\t"base" :"r.example/a:1" }'
    assert.equal(withBase(json, 'json', pinned), json.replace('r.example/a:1', pinned))
  })

  it('changes nothing if it cannot locate the text reliably', () => {
    assert.equal(withBase('base = """r.example/a:1"""', 'toml', pinned), undefined)
    assert.equal(withBase('{"base": "r.example\\u002fa:1"}', 'json', pinned), undefined)
    assert.equal(baseIn('base = ', 'toml'), undefined)
  })
})

describe('the field base', () => {
  const problemsOf = (base: string) => {
    const parsed = parseRecipe('web', `cmd = []\n  base = "${base}"`, 'toml')
    return parsed.ok
      ? parsed.written.base
      : parsed.problems.map(({ field, message, position }) => [field, message, position])
  }
  it('must be pinned, and its tag is ignored', () => {
    assert.equal(problemsOf(pinned), `r.example/a@sha256:${'b'.repeat(64)}`)
    const position = { line: 2, column: 3 }
    assert.deepEqual(problemsOf('r.example/a:1'), [
      [
        'base',
        'r.example/a:1 is not pinned, so it may change: run `nixery recipe lock`, which appends its digest',
        position,
      ],
    ])
    assert.match(JSON.stringify(problemsOf('debian:12')), /is not an image in a registry, such as/)
  })
})
