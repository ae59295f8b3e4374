import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { eachLine, printable } from './lines.ts'
import { anyString } from './testing.ts'

describe('eachLine', () => {
  it('joins lines and characters that chunks divide, and limits each line', async () => {
    const bytes = Buffer.from(`é1\n\n${'x'.repeat(100_000)}\nlast`)
    for (const size of [1, 7, 65_536]) {
      const lines: string[] = []
      const chunks = async function* () {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
      }
      await eachLine(chunks(), (line) => lines.push(line))
      assert.deepEqual(
        lines.map((line) => line.slice(0, 4)),
        ['é1', '', 'xxxx', 'last'],
      )
      assert.ok(lines.every((line) => line.length <= 20_000))
    }
  })
})

describe('printable', () => {
  const table: [name: string, line: string, shown: string][] = [
    ['plain text', 'a\tb — ü 🎉', 'a\tb — ü 🎉'],
    ['colours', '\u001b[31;1mred\u001b[0m', 'red'],
    ['a title', '\u001b]0;title\u0007text', 'text'],
    ['a link', '\u001b]8;;https://example.org\u001b\\text\u001b]8;;\u001b\\', 'text'],
    ['control characters', 'a\u0000b\u0008c\u001bd\u009be\u007f', 'abcde'],
    ['line separators', 'a\u2028b\u2029c', 'abc'],
    ['directions and invisible characters', 'a\u202eb\u2066c\u200bd\ufeff', 'abcd'],
    ['a progress bar', '10%\r20%\r30%', '30%'],
    ['the end of a line from elsewhere', 'text\r', 'text'],
    ['half a character', 'a\ud83c', 'a\ufffd'],
    ['a long line of words', 'word '.repeat(1000), `${'word '.repeat(399)}…`],
    ['a long line that is one word', 'x'.repeat(3000), `${'x'.repeat(1499)}…`],
    ['the end of an endless progress bar', `10%\r${'x'.repeat(20_000)}`, `${'x'.repeat(1499)}…`],
  ]
  for (const [name, line, shown] of table) {
    it(`shows ${name}`, () => assert.equal(printable(line), shown))
  }

  it('leaves nothing harmful for a log or a page', () => {
    fc.assert(
      fc.property(anyString(), (line) => {
        const shown = printable(line)
        assert.doesNotMatch(shown.replaceAll('\t', ''), /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u)
        assert.ok(shown.length <= 2000)
        assert.equal(printable(shown), shown)
      }),
    )
  })
})
