import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { privately } from './private.ts'
import { immutable } from './reply.ts'

describe('a reply that depends on the client', () => {
  const rows: [headers: Record<string, string>, expected: Record<string, string>][] = [
    [
      { 'Cache-Control': immutable },
      { 'Cache-Control': 'private, max-age=31536000, immutable', Vary: 'Authorization' },
    ],
    [
      { 'Cache-Control': 'no-cache', Vary: 'Accept', ETag: '"a"' },
      { 'Cache-Control': 'private, no-cache', Vary: 'Accept, Authorization', ETag: '"a"' },
    ],
    [{ 'Cache-Control': 'no-store' }, { 'Cache-Control': 'no-store', Vary: 'Authorization' }],
    [{}, { 'Cache-Control': 'private', Vary: 'Authorization' }],
  ]
  for (const [headers, expected] of rows) {
    it(`is not stored by shared caches: ${JSON.stringify(headers)}`, () => {
      const reply = { status: 200, headers, body: 'a' }
      assert.deepEqual(privately(reply), { status: 200, headers: expected, body: 'a' })
      assert.equal(privately(reply), privately(reply), 'prepared once')
    })
  }
})
