import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { noPopularity, parsePopularity, popularityOf } from './popularity.ts'
import { storePathOf } from './testing.ts'

const version = (text: string) => parsePopularity(text).version

describe('popularityOf', () => {
  const popularity = parsePopularity('{"glibc-2.40-36":1234,"nss-cacert-3.90":7,"__proto__":3}')
  const rows: [string, number][] = [
    ['glibc-2.40-36', 1234],
    ['glibc-2.40-36-bin', 1],
    ['glibc-2.40', 1],
    ['nss-cacert-3.90', 500_000],
    ['nss-cacert-3.98-unbundled', 500_000],
    ['iana-etc-20230316', 500_000],
    ['my-iana-etc', 1],
    ['__proto__', 3],
    ['constructor', 1],
  ]
  for (const [name, expected] of rows) {
    it(`is ${expected} for ${name}`, () =>
      assert.equal(popularityOf(popularity, storePathOf(name)), expected))
  }

  it('is 1 without popularity data', () => {
    assert.equal(popularityOf(noPopularity, storePathOf('glibc-2.40-36')), 1)
  })
})

describe('parsePopularity', () => {
  it('gives equal versions for equal counts', () => {
    assert.equal(version('{"a":1,"b":2}'), version(' { "b": 2.0, "a": 1 }\n'))
    assert.notEqual(version('{"a":1,"b":2}'), version('{"a":1,"b":3}'))
    assert.notEqual(version('{"a":1,"b":2}'), version('{"a":1}'))
    assert.equal(version('{}'), 'none')
  })

  const refused: [string, RegExp][] = [
    ['{"fine":1,"bad":0}', /count of "bad" is not a positive integer/],
    ['{"bad":-4}', /"bad"/],
    ['{"bad":1.5}', /"bad"/],
    ['{"bad":"7"}', /"bad"/],
    ['{"bad":null}', /"bad"/],
    ['{"bad":1e300}', /"bad"/],
    ['{"":[]}', /count of ""/],
    ['{"\\u001b[2J":{}}', /count of "\\u001b\[2J"/],
    ['[1]', /not a JSON object/],
    ['null', /not a JSON object/],
    ['7', /not a JSON object/],
    ['{', /not JSON/],
    ['', /not JSON/],
  ]
  for (const [text, message] of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parsePopularity(text),
        (error) =>
          error instanceof NixeryError && error.code === 'CONFIG_INVALID' && message.test(error.message),
      )
    })
  }
})
