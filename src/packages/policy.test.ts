import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { attributeFilter, refusalOf } from './policy.ts'

describe('attributeFilter', () => {
  const rows: [allow: string[], deny: string[], attribute: string, allowed: boolean][] = [
    [[], [], 'git', true],
    [['git'], [], 'git', true],
    [['git'], [], 'gitMinimal', false],
    [['git*'], [], 'gitMinimal', true],
    [['python3Packages.*'], [], 'python3Packages.requests', true],
    [['python3Packages.*'], [], 'python3', false],
    [['PYTHON3packages.*'], [], 'python3Packages.requests', true],
    [[], ['*.secret'], 'nested.secret', false],
    [[], ['a.b'], 'axb', true],
    [['*'], ['git'], 'git', false],
    [['*'], ['g(it'], 'git', true],
  ]
  for (const [allow, deny, attribute, allowed] of rows) {
    it(`${allowed ? 'lets' : 'keeps'} ${attribute} with allow [${allow.join()}] and deny [${deny.join()}]`, () => {
      assert.equal(attributeFilter(allow, deny)(attribute), allowed)
    })
  }
})

describe('refusalOf', () => {
  const rows: [message: string, refusal: RegExp | undefined][] = [
    ['error: Package ‘a-1’ in x:1 has an unfree license (‘unfree’), refusing to evaluate.', /unfree/],
    ['error: Package ‘a-1’ in x:1 is marked as broken, refusing to evaluate.', /broken/],
    ['error: Package ‘a-1’ in x:1 is marked as insecure, refusing to evaluate.', /insecure/],
    ['error: Package ‘a-1’ in x:1 is not available on the requested hostPlatform:', /platform/],
    ['error: undefined variable', undefined],
  ]
  for (const [message, refusal] of rows) {
    it(`reads ${message.slice(0, 60)}`, () => {
      if (refusal) assert.match(refusalOf(message) ?? '', refusal)
      else assert.equal(refusalOf(message), undefined)
    })
  }
})
