import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bar, createProgress, duration, words } from './progress.ts'

const tally = { kept: 10, fetched: 30, missing: 4, broken: 1, failed: 5 }

function show(isTTY: boolean) {
  let text = ''
  let clock = 0
  const stream = { isTTY, columns: 60, write: (part: string) => (text += part) }
  const progress = createProgress(stream, () => (clock += 1000))
  progress.line('first')
  progress.update(tally, 100)
  progress.line('second')
  progress.stop()
  return text
}

describe('progress', () => {
  it('is a bar in place on a terminal', () => {
    const [first, second, last, rest] = show(true).split('\n')
    assert.equal(first, 'first')
    assert.equal(second, '\r\u001b[2Ksecond')
    assert.match(last ?? '', /^\r\u001b\[2K.*50 of 100 narinfos \(50%\)/)
    assert.equal(rest, '')
  })

  it('is plain lines elsewhere', () => assert.equal(show(false), 'first\nsecond\n'))

  it('says how far it is, how fast, and how long it will take', () => {
    const facts = { done: 50, total: 200, rate: 2.5, unread: 3 }
    assert.equal(words(facts), '50 of 200 narinfos (25%), 3/s, 1m 00s left, 3 not read')
    assert.equal(words({ done: 0, total: 0, rate: 0, unread: 0 }), '0 of 0 narinfos (0%), 0/s')
  })

  it('fits its terminal', () => {
    const facts = { done: 150, total: 200, rate: 100, unread: 0 }
    for (let columns = 0; columns < 200; columns += 1) assert.ok(bar(facts, columns).length <= columns)
    assert.match(bar(facts, 120), /^\[#{30}\.{10}\] 150 of 200/)
  })

  it('gives times for people', () => {
    const rows: [number, string][] = [
      [0.4, '0s'],
      [59.4, '59s'],
      [59.6, '1m 00s'],
      [187, '3m 07s'],
      [7500, '2h 05m'],
    ]
    for (const [seconds, text] of rows) assert.equal(duration(seconds), text)
  })
})
