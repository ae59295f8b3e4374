import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { pino } from 'pino'
import type { AccessLogEntry } from '../http/access-log.ts'
import { NixeryError } from '../errors.ts'
import { createRedactor } from '../text/redact.ts'
import { logAccess, logOptions, longestShown } from './log.ts'
import { anyString } from '../text/testing.ts'

/** The log lines of responses: written by the fast path where possible, or by pino only. */
function linesOf(entries: readonly AccessLogEntry[], quick: boolean, level = 'info'): string[] {
  const lines: string[] = []
  const redactor = createRedactor(['hunter2'])
  const log = pino(logOptions(level, redactor), { write: (line: string) => void lines.push(line) })
  // Every line may contain a secret, so the fast path is never taken.
  const write = logAccess(log, quick ? redactor : { ...redactor, suspects: () => true })
  for (const entry of entries) write(entry)
  return lines.map((line) => line.replace(/"time":"[^"]*"/, '"time"'))
}

// Ordinary requests, some with secrets, an operator's failure, and a bug.
const failures = [
  new NixeryError('OVERLOADED', 'too many passwords are being checked', { hint: 'try again' }),
  new NixeryError('PACKAGE_UNKNOWN', 'token=hunter2 "quoted"\nline', {
    detail: { missing: ['hunter2'], suggestions: [] },
  }),
  new NixeryError('STORE_FULL', 'full', { cause: new Error('hunter2') }),
  new TypeError('a bug with password=hunter2'),
  'a text',
]

const anyEntry: fc.Arbitrary<AccessLogEntry> = fc.record({
  id: fc.uuid(),
  kind: fc.constantFrom('image', 'blob', 'page'),
  method: fc.constantFrom('GET', 'HEAD', 'OD"D'),
  path: fc.oneof(anyString({ maxLength: 600 }), fc.constantFrom('/v2/', '/a?token=hunter2')),
  status: fc.constantFrom(200, 304, 404),
  ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
  bytes: fc.nat(),
  userAgent: fc.option(anyString(), { nil: undefined }),
  error: fc.constantFrom(undefined, ...failures),
})

describe('the line of a response', () => {
  it('is the same from the fast path and from pino', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 5 }), (answers) => {
        const all = [...answers, ...answers]
        assert.deepEqual(linesOf(all, true), linesOf(all, false))
      }),
    )
  })

  it('is bounded, whatever a client sends, and contains no truncated secret', () => {
    const [one] = fc.sample(anyEntry, 1)
    assert.ok(one)
    const path = `/${'a'.repeat(longestShown - 8)}hunter2${'b'.repeat(30_000)}`
    const [line = ''] = linesOf([{ ...one, path, userAgent: 'c'.repeat(30_000) }], true)
    assert.ok(line.length < 3 * longestShown, `${line.length}`)
    assert.doesNotMatch(line, /hunter/)
  })

  it('is omitted below the log level', () => {
    const [one] = fc.sample(anyEntry, 1)
    assert.ok(one)
    const answer = { ...one, error: undefined }
    assert.deepEqual(linesOf([answer], true, 'warn'), [])
    assert.equal(linesOf([answer], true).length, 1)
  })
})
