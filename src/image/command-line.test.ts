import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { parseWrittenReference } from './command-line.ts'
import { formatImageName, parseImageReference } from './name.ts'
import { decodeSpelling } from './spelling.ts'

describe('parseWrittenReference', () => {
  const rows: [text: string, name: string, tag?: string][] = [
    ['shell/git', 'shell/git'],
    ['arm64/python3Packages.requests:v1.2', 'arm64/python3Packages.requests', 'v1.2'],
    ['gtk+3', 'gtk__plus__3'],
    ["lib.foldl':v1", 'lib.foldl__prime', 'v1'],
    ['"python3.11"', 'python3__dot__11'],
    ['git/"python3.11".out:v1', 'git/python3__dot__11.out', 'v1'],
    ['nodePackages."@angular/cli"', 'nodePackages.at__angular__slash__cli'],
    ['"a\\"b:c"', 'a__u0022__b__u003a__c'],
    ['"git"', 'git'],
  ]
  for (const [text, name, tag = 'latest'] of rows) {
    it(`reads ${text}`, () => {
      const request = parseWrittenReference(text)
      assert.deepEqual([formatImageName(request), request.tag], [name, tag])
    })
  }

  for (const text of ['', '"', '""', '"a"b', '"a""b"', 'a"b"', 'a b', 'a//b', '"a', '@angular/', '|']) {
    it(`refuses ${text}`, () => {
      assert.throws(
        () => parseWrittenReference(text),
        (error) => hasCode(error, 'NAME_INVALID'),
      )
    })
  }

  it('accepts any attribute in quotes, and everything that is accepted without', () => {
    const attribute = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
      .filter((text) => text.isWellFormed() && !text.includes('\0'))
    fc.assert(
      fc.property(attribute, (text) => {
        const written = `x."${text.replaceAll(/[\\"]/g, '\\$&')}"`
        const [, part = ''] = (parseWrittenReference(written).packages[0] ?? '').split('.')
        assert.equal(part === text ? text : decodeSpelling(part), text)
      }),
    )
    const name = fc.stringMatching(/^[a-z0-9_]{1,5}([./][a-z0-9_-]{1,5}){0,3}(:[a-z0-9.]{1,5})?$/)
    fc.assert(
      fc.property(name, (text) => {
        const parse = (read: typeof parseImageReference) => {
          try {
            return read(text)
          } catch (error) {
            return error instanceof Error ? error.message : ''
          }
        }
        assert.deepEqual(parse(parseWrittenReference), parse(parseImageReference))
      }),
    )
  })
})
