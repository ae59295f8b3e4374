import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { nearestNames } from './nearest.ts'

const names = [
  '_1password',
  'bash',
  'bashInteractive',
  'cowsay',
  'curl',
  'curlHTTP3',
  'git',
  'gitFull',
  'github-cli',
  'haskell',
  'hello',
  'htop',
  'jq',
  'code',
  'mode',
  'nodejs',
  'nodejs-slim',
  'python3',
  'python310',
  'python311',
  'python312',
  'q',
  'ripgrep',
]

describe('nearestNames', () => {
  const table: [wanted: string, nearest: string[]][] = [
    ['helo', ['hello']],
    ['hellow', ['hello']],
    ['pyhton3', ['python3']],
    ['python', ['python3', 'python310', 'python311']],
    ['python31', ['python310', 'python311', 'python312']],
    ['python3x', ['python3', 'python310', 'python311']],
    ['gitfull', ['gitFull', 'git']],
    ['GIT', ['git']],
    ['gti', ['git']],
    ['htpo', ['htop']],
    ['node', ['nodejs', 'nodejs-slim', 'code']],
    ['cur', ['curl']],
    ['ba', []],
    ['xyz', []],
    ['HELO', ['hello']],
    ['bashinteractiv', ['bashInteractive', 'bash']],
    ['nodejs-18', ['nodejs']],
    ['1pasword', ['_1password']],
    ['rigrep', ['ripgrep']],
    ['haskellpackages', ['haskell']],
    ['kubernetes', []],
    ['z', []],
    ['jp', ['jq']],
    ['', []],
  ]
  for (const [wanted, nearest] of table) {
    it(`takes ${JSON.stringify(wanted)} for ${nearest.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(nearestNames(wanted, names), nearest)
    })
  }

  const name = fc.stringMatching(/^[A-Za-z0-9_-]{0,12}$/)
  const some = fc.uniqueArray(name, { maxLength: 40 })

  it('returns at most three names, independent of their order', () => {
    fc.assert(
      fc.property(name, some, fc.func(fc.string()), (wanted, given, order) => {
        const nearest = nearestNames(wanted, given)
        assert.ok(nearest.length <= 3)
        assert.ok(nearest.every((one) => given.includes(one)))
        const shuffled = given.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
        assert.deepEqual(nearestNames(wanted, shuffled), nearest)
      }),
    )
  })

  it('finds a name that differs only in case, or in one letter', () => {
    const long = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{3,11}$/)
    fc.assert(
      fc.property(long, fc.nat(), fc.constantFrom('x', ''), (wanted, at, letter) => {
        const cut = at % wanted.length
        const others = ['%%%%%%', '&&&&&&&&&&&&']
        assert.deepEqual(nearestNames(wanted.toUpperCase(), [...others, wanted.toLowerCase()]), [
          wanted.toLowerCase(),
        ])
        const mistyped = wanted.slice(0, cut) + letter + wanted.slice(cut + 1)
        assert.deepEqual(nearestNames(mistyped, [...others, wanted]), [wanted])
      }),
    )
  })
})
