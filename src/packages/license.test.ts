import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { License } from '../image/license.ts'
import { spdxExpression } from './license.ts'
import { anyString } from '../text/testing.ts'

const id = (spdxId: string): License => ({ spdxId, name: null })
const named = (name: string): License => ({ spdxId: null, name })
const of = (operator: string, ...licenses: (License | null)[]): License => ({ operator, licenses })

describe('spdxExpression', () => {
  const rows: [license: License | null, expression: string | undefined][] = [
    [null, undefined],
    [id('GPL-3.0-or-later'), 'GPL-3.0-or-later'],
    [named('unfree'), 'LicenseRef-unfree'],
    [{ spdxId: 'GPL 3; rm -rf', name: 'gpl3' }, 'LicenseRef-gpl3'],
    [{ text: 'MIT' }, 'MIT'],
    [{ text: 'MIT OR Apache-2.0' }, 'MIT OR Apache-2.0'],
    [{ text: 'GPLv3+' }, 'LicenseRef-GPLv3'],
    [{ text: ' free\nas in beer ' }, 'LicenseRef-free-as-in-beer'],
    [{ text: '' }, undefined],
    [of('AND', id('MIT')), 'MIT'],
    [of('AND', id('MIT'), id('ISC'), id('MIT')), 'MIT AND ISC'],
    [of('AND', of('OR', id('MIT'), id('ISC')), { text: 'MIT OR ISC' }), 'MIT OR ISC'],
    [of('AND', of('OR', id('MIT'), id('ISC')), id('Zlib')), '(MIT OR ISC) AND Zlib'],
    [
      of('WITH', id('GPL-2.0-only'), id('Classpath-exception-2.0')),
      'GPL-2.0-only WITH Classpath-exception-2.0',
    ],
    [of('+', id('EUPL-1.1')), 'EUPL-1.1+'],
    [of('+', named('unfree')), undefined],
    [of('WITH', id('MIT')), undefined],
    // If one part is invalid, the whole is omitted.
    [of('AND', id('MIT'), null), undefined],
    [of('AND'), undefined],
    [of('XOR', id('MIT'), id('ISC')), undefined],
    [
      of('AND', ...Array.from({ length: 30 }, (_, index) => named(`a long name of a license ${index}`))),
      undefined,
    ],
  ]
  for (const [license, expression] of rows) {
    it(`is ${expression} for ${JSON.stringify(license)?.slice(0, 80)}`, () =>
      assert.equal(spdxExpression(license), expression))
  }

  it('is a valid expression for any input', () => {
    const { license } = fc.letrec<{ license: License }>((tie) => ({
      license: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(id('MIT'), id('ISC')),
        fc.string().map((name) => named(name)),
        anyString().map((text) => ({ text })),
        fc.record({
          operator: fc.constantFrom('AND', 'OR', '+', 'NOT'),
          licenses: fc.array(tie('license'), { maxLength: 4 }),
        }),
      ),
    }))
    // SPDX 2.3, annex D: ids and references, joined, with brackets around what is joined otherwise.
    const one = String.raw`(LicenseRef-[0-9A-Za-z.-]+|[0-9A-Za-z.-]+\+?)`
    const inner = (depth: number): string =>
      depth === 0 ? one : String.raw`(${one}|\(${inner(depth - 1)}( (AND|OR) ${inner(depth - 1)})+\))`
    const expression = new RegExp(String.raw`^${inner(3)}( (AND|OR) ${inner(3)})*$`)
    fc.assert(
      fc.property(license, (said) => {
        const text = spdxExpression(said)
        if (text !== undefined) assert.match(text, expression)
      }),
    )
  })
})
