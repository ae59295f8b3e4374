import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { canonicalJson, type Json, keyOf } from './canonical.ts'

// Through JSON once, which has no -0.
// Through JSON once, which has no -0.
const json = fc.jsonValue({ stringUnit: 'binary' }).map((value) => JSON.parse(JSON.stringify(value)) as Json)

/** The same value with the members of every object in another order, and some that are undefined. */
function disordered(value: Json): Json {
  if (Array.isArray(value)) return value.map(disordered)
  if (value === null || typeof value !== 'object') return value
  const members = Object.entries(value).map(([key, member]) => [key, member && disordered(member)] as const)
  const gone = ['', 'undefined', '\uffff'].filter((key) => !Object.hasOwn(value, key))
  return Object.fromEntries([...gone.map((key) => [key, undefined] as const), ...members.reverse()])
}

describe('canonicalJson', () => {
  const rows: [value: Json, text: string][] = [
    [null, 'null'],
    [true, 'true'],
    [-1.5e300, '-1.5e+300'],
    ['', '""'],
    ['ä"\\\n\u0001🐋', '"ä\\"\\\\\\n\\u0001🐋"'],
    [[], '[]'],
    [{}, '{}'],
    [[1, [2], {}], '[1,[2],{}]'],
    [{ b: 1, a: 2 }, '{"a":2,"b":1}'],
    [{ 10: 1, 9: 2, a: 3, A: 4 }, '{"10":1,"9":2,"A":4,"a":3}'],
    [{ a: undefined, b: { c: undefined } }, '{"b":{}}'],
    [{ z: [{ y: 1, x: 2 }] }, '{"z":[{"x":2,"y":1}]}'],
    // By code unit, as required by RFC 8785 §3.2.3: the whale's first is U+D83D.
    [{ '\uff61': 1, '🐋': 2, é: 3, z: 4 }, '{"z":4,"é":3,"🐋":2,"\uff61":1}'],
  ]
  for (const [value, text] of rows) {
    it(`writes ${text}`, () => assert.equal(canonicalJson(value), text))
  }

  it('is JSON of the same value', () => {
    fc.assert(fc.property(json, (value) => assert.deepEqual(JSON.parse(canonicalJson(value)), value)))
  })

  it('does not depend on the order of members, nor on those that are undefined', () => {
    fc.assert(
      fc.property(json, (value) => assert.equal(canonicalJson(disordered(value)), canonicalJson(value))),
    )
  })

  it('is one text for each value', () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        const same = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
        assert.equal(canonicalJson(a) === canonicalJson(b), same)
      }),
    )
  })
})

/** Another canonical form: objects as sorted lists of members. */
function sorted(value: Json): unknown {
  if (Array.isArray(value)) return ['list', ...value.map(sorted)]
  if (value === null || typeof value !== 'object') return value
  const keys = Object.keys(value).sort()
  return ['object', ...keys.map((key) => [key, sorted((value as Record<string, Json>)[key] ?? null)])]
}

describe('keyOf', () => {
  it('is sha256 over kind, version and inputs', () => {
    assert.equal(
      keyOf('kind', 2, { b: 1, a: [] }),
      hash('sha256', '{"inputs":{"a":[],"b":1},"kind":"kind","version":2}'),
    )
  })

  const rows: [what: string, key: string][] = [
    ['another kind', keyOf('other', 1, ['a', 'b'])],
    ['another version', keyOf('kind', 2, ['a', 'b'])],
    ['inputs in another order', keyOf('kind', 1, ['b', 'a'])],
    ['inputs that are joined', keyOf('kind', 1, ['ab'])],
    ['inputs that are cut elsewhere', keyOf('kind', 1, ['', 'ab'])],
    ['inputs of another type', keyOf('kind', 1, '["a","b"]')],
    ['one input more', keyOf('kind', 1, ['a', 'b', null])],
  ]
  for (const [what, key] of rows) {
    it(`differs for ${what}`, () => {
      assert.match(key, /^[0-9a-f]{64}$/)
      assert.notEqual(key, keyOf('kind', 1, ['a', 'b']))
    })
  }

  it('is the same for equal inputs', () => {
    fc.assert(
      fc.property(json, (inputs) => assert.equal(keyOf('k', 1, disordered(inputs)), keyOf('k', 1, inputs))),
    )
  })
})
