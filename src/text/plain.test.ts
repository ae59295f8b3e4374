import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { jsonLine } from './json-line.ts'
import { oneLine, plainText } from './plain.ts'

/** Escape sequences, invisible and direction-changing characters among letters, spaces and line breaks. */
const hostile = fc
  .array(
    fc.constantFrom(
      'a',
      'ß',
      '"',
      '\\',
      ' ',
      '\t',
      '\n',
      '\r',
      '\u001b[31m',
      '\u001b',
      '\u009b1m',
      '\u0000',
      '\u007f',
      '\u2028',
      '\u202e',
      '\u200b',
      '\ufeff',
      '\u{e0041}',
    ),
  )
  .map((parts) => parts.join(''))

const acts = /[\p{Cc}\p{Cf}\u2028\u2029]/u

describe('plainText', () => {
  it('keeps line breaks and tabs, but no other control or invisible characters', () => {
    assert.equal(plainText('\u001b[1ma\tb\u001b[0m\r\nc\u202ed\u0000'), 'a\tb\ncd')
    fc.assert(
      fc.property(hostile, (text) => {
        assert.doesNotMatch(plainText(text).replace(/[\t\n]/g, ''), acts)
      }),
    )
  })
})

describe('oneLine', () => {
  it('is one short line without control characters', () => {
    assert.equal(oneLine(' TOO_\u001b[31mBIG:\n\r\ttry\u200b later ', 100), 'TOO_BIG: try later')
    assert.equal(oneLine('x'.repeat(60), 50), `${'x'.repeat(49)}…`)
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 50 }), (text, most) => {
        const line = oneLine(text, most)
        assert.ok(line.length <= most)
        assert.doesNotMatch(line, acts)
      }),
    )
  })
})

describe('jsonLine', () => {
  it('is JSON of the same value, and safe to print on a terminal', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const line = jsonLine({ [text]: [text] })
        assert.doesNotMatch(line, acts)
        assert.deepEqual(JSON.parse(line), { [text]: [text] })
      }),
    )
  })
})
