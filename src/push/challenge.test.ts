import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseChallenges } from './challenge.ts'
import { anyString } from '../text/testing.ts'

const plain = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])

describe('a WWW-Authenticate header', () => {
  const rows: [header: string, expected: unknown][] = [
    ['', []],
    ['Basic', [['basic', {}]]],
    ['Basic realm="a b"', [['basic', { realm: 'a b' }]]],
    [
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.example/token',
            service: 'registry.example',
            scope: 'repository:a/b:pull,push',
          },
        ],
      ],
    ],
    [
      'Basic realm=x, Bearer realm = "y"',
      [
        ['basic', { realm: 'x' }],
        ['bearer', { realm: 'y' }],
      ],
    ],
    [
      'Negotiate, Basic realm="x"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    ],
    ['Bearer Realm="a\\"b\\\\c"', [['bearer', { realm: 'a"b\\c' }]]],
  ]
  for (const [header, expected] of rows) {
    it(`${JSON.stringify(header.slice(0, 50))} is parsed`, () => assert.deepEqual(plain(header), expected))
  }

  it('may contain text that is not a challenge', () => {
    for (const odd of [
      'Negotiate YWJj==, Basic realm="x"',
      '"odd", Basic realm="x"',
      'Digest a="b, Basic realm="x"',
    ]) {
      assert.ok(parseChallenges(odd).length > 0, odd)
    }
    assert.deepEqual(plain('Negotiate YWJj==, Basic realm="x"').at(-1), ['basic', { realm: 'x' }])
  })

  const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9._-]{0,10}$/)
  const parameters = fc.dictionary(
    token.map((name) => name.toLowerCase()),
    fc.string({ unit: 'binary-ascii' }),
    {
      minKeys: 1,
      noNullPrototype: true,
    },
  )
  it('round-trips', () => {
    const quote = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`
    fc.assert(
      fc.property(fc.array(fc.tuple(token, parameters), { maxLength: 4 }), (challenges) => {
        const header = challenges
          .map(([scheme, values]) => {
            const pairs = Object.entries(values).map(([name, value]) => `${name}=${quote(value)}`)
            return `${scheme} ${pairs.join(',')}`
          })
          .join(', ')
        const expected = challenges.map(([scheme, values]) => [scheme.toLowerCase(), values])
        assert.deepEqual(plain(header), expected)
      }),
    )
  })

  it('always terminates the parser', () => {
    fc.assert(fc.property(anyString(), (header) => void parseChallenges(header)))
    const started = performance.now()
    parseChallenges(`Bearer ${'a="\\'.repeat(20_000)}`)
    parseChallenges(`Bearer ${'a '.repeat(20_000)}=`)
    assert.ok(performance.now() - started < 10_000) // minutes, if the time were not linear
  })
})
