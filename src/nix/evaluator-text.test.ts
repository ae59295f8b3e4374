import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { answerIn, jsonText, linesOfRequest } from './evaluator-text.ts'
import { anyString } from '../text/testing.ts'

describe('the input of a process', () => {
  it('is one string of printable ASCII without interpolation, whatever it contains', () => {
    fc.assert(
      fc.property(fc.array(anyString()), (names) => {
        const text = jsonText(names)
        assert.match(text, /^"([ !#-[\]-~]|\\["\\])*"$/)
        assert.doesNotMatch(text, /\$/)
        // As Nix parses it: a backslash escapes the next character.
        assert.deepEqual(JSON.parse(text.slice(1, -1).replaceAll(/\\(.)/g, '$1')), names)
      }),
    )
  })

  it('is three lines', () => {
    fc.assert(
      fc.property(anyString(), (name) => {
        const lines = linesOfRequest('0-mark', { attributes: [[name]] }).split('\n')
        assert.deepEqual(
          lines.map((line) => line.slice(0, 8)),
          ['answer "', ':p "end ', ':p "end ', ''],
        )
      }),
    )
  })
})

describe('the output of a process', () => {
  const printed = (text: string) => JSON.stringify(text).slice(1, -1)

  it('is found among other text', () => {
    const around = anyString().filter((text) => !text.includes('mark'))
    const answers = fc.json().filter((text) => !/mark|\$/.test(text))
    fc.assert(
      fc.property(around, answers, around, (before, answer, after) => {
        assert.equal(answerIn(`${before}"<mark>${printed(answer)}</mark>"${after}`, 'mark'), answer)
        assert.equal(answerIn(before + after, 'mark'), undefined)
      }),
    )
  })

  it('is rejected if it is truncated or malformed', () => {
    for (const output of [
      '"<mark>{',
      '<mark>"</mark>',
      '<mark>\\</mark>',
      '<mark>\n</mark>',
      '<mark>\\x</mark>',
    ])
      assert.throws(() => answerIn(output, 'mark'), output)
  })
})
