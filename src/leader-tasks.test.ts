import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lead } from './catalog/lead.ts'
import { whileLeading } from './leader-tasks.ts'

/** A lead that only one process can have at a time. */
function openLead() {
  let holder: AbortController | undefined
  return {
    take(): Promise<Lead | undefined> {
      if (holder) return Promise.resolve(undefined)
      const mine = new AbortController()
      holder = mine
      return Promise.resolve({
        lost: mine.signal,
        release() {
          if (holder === mine) holder = undefined
          return Promise.resolve()
        },
      })
    },
    lose() {
      const lost = holder
      holder = undefined
      lost?.abort()
    },
  }
}

describe('whileLeading', () => {
  it('runs in one process at a time, and in another when the first stops or loses the lead', async () => {
    const lead = openLead()
    const running = new Set<string>()
    let most = 0
    const process = (name: string) =>
      whileLeading(
        () => lead.take(),
        () => {
          running.add(name)
          most = Math.max(most, running.size)
          return { stop: () => void running.delete(name) }
        },
        1,
      )
    const until = async (name: string) => {
      while (!running.has(name)) await sleep(1)
    }
    const first = process('first')
    await until('first')
    const second = process('second')
    await sleep(5)
    assert.deepEqual([...running], ['first'])
    await first.stop()
    await until('second')
    lead.lose()
    await until('second') // again: there is no other candidate
    assert.equal(most, 1)
    await second.stop()
    assert.deepEqual([...running], [])
  })

  it('treats a failure as another process’s lead, and starts nothing after it was stopped', async () => {
    const attempts: string[] = []
    const fail = () => {
      attempts.push('failed')
      return Promise.reject(new Error('the database is away'))
    }
    const failing = whileLeading(fail, assert.fail, 1)
    while (attempts.length < 3) await sleep(1)
    await failing.stop()
    const late = Promise.withResolvers<Lead | undefined>()
    const slow = whileLeading(() => late.promise, assert.fail, 1)
    const stopped = slow.stop()
    let released = false
    late.resolve({
      lost: new AbortController().signal,
      release: () => Promise.resolve(void (released = true)),
    })
    await stopped
    assert.equal(released, true)
  })
})
