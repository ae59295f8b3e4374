import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { storePathName } from '../image/store-path.ts'
import { parseNarinfo } from './narinfo.ts'
import { narinfoOf } from './testing.ts'

const hash = '0123456789abcdfghijklmnpqrsvwxyz'
const path = `/nix/store/${hash}-hello-2.12.1`
const glibc = `/nix/store/${hash}-glibc-2.40-36`
const whole = narinfoOf(path, [glibc, path])

const namesOf = (text: string) => parseNarinfo(text)?.references.map(storePathName)

describe('parseNarinfo', () => {
  const rows: [what: string, text: string, names: string[] | undefined][] = [
    ["one in Nix's format", whole, ['glibc-2.40-36', 'hello-2.12.1']],
    ['one without references', narinfoOf(path, []), []],
    ['one whose empty line has no space', `StorePath: ${path}\nReferences:\n`, []],
    ['more spaces than needed', `StorePath: ${path}\nReferences:  ${hash}-a  ${hash}-b \n`, ['a', 'b']],
    ['unknown fields', `StorePath: ${path}\nNew: x: y\nReferences: \n`, []],
    ['line ends of another system', whole.replaceAll('\n', '\r\n'), ['glibc-2.40-36', 'hello-2.12.1']],
    ['no References line, as from nix-serve', `StorePath: ${path}\nNarSize: 9\nSig: x:y\n`, []],
    ['no References line in a truncated one', `StorePath: ${path}\n`, undefined],
    ['no StorePath line', `References: ${hash}-a\n`, undefined],
    ['two References lines', `${whole}References: ${hash}-a\n`, undefined],
    ['two StorePath lines', `${whole}StorePath: ${path}\n`, undefined],
    ['a reference with a folder', `StorePath: ${path}\nReferences: /nix/store/${hash}-a\n`, undefined],
    ['an invalid reference', `StorePath: ${path}\nReferences: glibc-2.40\n`, undefined],
    ['a reference that leads out', `StorePath: ${path}\nReferences: ../../${hash}-a\n`, undefined],
    ['another store', `StorePath: /gnu/store/${hash}-a\nReferences: \n`, undefined],
    ['a file in a store path', `StorePath: ${path}/bin\nReferences: \n`, undefined],
    ['an HTML page with an error', '<html>\n<body>404</body>\n</html>\n', undefined],
    ['an empty body', '', undefined],
    ['an empty line', '\n', undefined],
  ]
  for (const [what, text, names] of rows) {
    it(`${names ? 'reads' : 'refuses'} ${what}`, () => assert.deepEqual(namesOf(text), names))
  }

  it('refuses one that is truncated in its references', () => {
    const start = whole.indexOf('References:')
    const end = whole.indexOf('\n', start)
    for (let length = 0; length <= end; length += 1)
      assert.equal(parseNarinfo(whole.slice(0, length)), undefined)
  })

  it('never throws, and returns only store paths', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('StorePath: ', 'References: ', '\n', ':', ' ', path, `${hash}-a`, '\u0000'),
    )
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const narinfo = parseNarinfo(pieces.join(''))
        for (const each of narinfo?.references ?? []) assert.match(each, /^\/nix\/store\/[0-9a-z]{32}-./)
      }),
    )
  })
})
