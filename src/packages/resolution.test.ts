import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { platforms } from '../image/platform.ts'
import { denied, found, invalid, missing } from './resolution-testing.ts'
import { parseResolution, resolutionKey, type Resolution } from './resolution.ts'

describe('parseResolution', () => {
  it('returns stored values, and ignores unreadable ones', () => {
    const other: Resolution = { status: 'invalid', kind: 'other', reason: 'is a function' }
    for (const each of [found('git'), missing('git'), invalid('why'), other, denied('why')]) {
      assert.deepEqual(parseResolution(JSON.stringify(each)), each)
    }
    for (const text of [
      JSON.stringify({ ...found('git'), outputs: [{ output: 'out', outputPath: '/etc/passwd' }] }),
      JSON.stringify({ ...found('git'), outputs: [] }),
      '{"status":"of a newer version"}',
      '{"status":"missing"}',
      'null',
      'no JSON',
    ]) {
      assert.equal(parseResolution(text), undefined, text)
    }
  })
})

describe('resolutionKey', () => {
  it('differs for everything that matters', () => {
    const keys = [
      resolutionKey('r1', platforms.amd64, 'git', {}),
      resolutionKey('r2', platforms.amd64, 'git', {}),
      resolutionKey('r1', platforms.arm64, 'git', {}),
      resolutionKey('r1', platforms.amd64, 'htop', {}),
      resolutionKey('r1', platforms.amd64, 'git', { config: { allowUnfree: true } }),
    ]
    assert.equal(new Set(keys).size, keys.length)
    assert.equal(resolutionKey('r1', platforms.amd64, 'git', {}), keys[0])
  })
})
