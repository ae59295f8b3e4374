import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { NixeryError } from '../errors.ts'
import type { BuildEvent } from '../builds/events.ts'
import { createRedactor } from '../text/redact.ts'
import { mostLines, mostText } from './log.ts'
import { logBuilds, logOptions } from './log.ts'

/** A log that records its lines. */
function keptLog() {
  const lines: Record<string, unknown>[] = []
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>)
  const redactor = createRedactor(['hunter2'])
  return { lines, log: pino(logOptions('info', redactor), { write }), redactor }
}

describe('the log', () => {
  it('has levels as words, and contains no secrets', () => {
    const { log, lines } = keptLog()
    log.info({ a: { b: 'hunter2' } }, 'Bearer hunter2')
    log.warn('careful')
    log.error('broken')
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['info', 'warn', 'error'],
    )
    assert.deepEqual(lines[0]?.['a'], { b: '…' })
    assert.equal(lines[0]?.['msg'], 'Bearer …')
  })

  it('has a stack only for bugs', () => {
    const { log, lines } = keptLog()
    const cause = new Error('connection refused')
    log.info({ err: new NixeryError('PACKAGE_UNKNOWN', 'no such package', { cause }) }, 'a mistake')
    log.error({ err: new NixeryError('STORE_UNAVAILABLE', 'no store', { cause }) }, 'trouble')
    log.error({ err: new TypeError('x is undefined', { cause }) }, 'a bug')
    const [mistake, trouble, bug] = lines.map(({ err }) => err as Record<string, unknown>)
    assert.deepEqual(mistake, { code: 'PACKAGE_UNKNOWN', message: 'no such package' })
    assert.deepEqual(trouble, { code: 'STORE_UNAVAILABLE', message: 'no store', cause: 'connection refused' })
    assert.match(String(bug?.['stack']), /TypeError: x is undefined\n *at /)
  })
})

describe('the output of a build', () => {
  const logged = (line: string, count: number) => {
    const { log, lines, redactor } = keptLog()
    const listener = logBuilds(log, redactor)
    listener('a', { type: 'started', image: 'x' })
    const event: BuildEvent = { type: 'nix', line }
    for (let index = 0; index < count; index += 1) listener('a', event)
    listener('b', { type: 'started', image: 'y' })
    listener('b', event)
    return lines
  }

  it('is logged up to a number of lines, and one that reports the limit', () => {
    const lines = logged('', 100_000)
    assert.equal(lines.length, mostLines + 4)
    assert.match(String(lines[mostLines + 1]?.['msg']), /further output of this build is omitted/)
    assert.equal(lines.at(-1)?.['build'], 'b', 'other builds are not affected')
  })

  it('is logged up to a total length', () => {
    const lines = logged('x'.repeat(1_000), 10_000)
    assert.ok(lines.length <= mostText / 1_000 + 4)
  })
})
