import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { parseEnvironmentFile } from './environment-file.ts'

describe('a file of settings', () => {
  it('assigns a value per line, with comments, quotes and several lines', () => {
    const text =
      '# server\n\nPORT=8080\r\nexport A = "b c" # why\nKEY="one\ntwo words\nthree" # end\nE=\n  F=\'g\'\n'
    assert.deepEqual(Object.fromEntries(parseEnvironmentFile(text, 'nixery.env')), {
      PORT: '8080',
      A: 'b c',
      KEY: 'one\ntwo words\nthree',
      E: '',
      F: 'g',
    })
  })

  for (const line of [
    'NIXERY_ALLOW git',
    'NIXERY_DENY: secret-*',
    'export PORT',
    '[Service]',
    '1A=b',
    'A-B=c',
  ]) {
    it(`is rejected with the line number, but without the line: ${line}`, () => {
      assert.throws(
        () => parseEnvironmentFile(`PORT=1\n${line}\n`, 'nixery.env'),
        (error) =>
          hasCode(error, 'CONFIG_INVALID') &&
          error.message === 'nixery.env, line 2: not of the form NAME=value',
      )
    })
  }
})
