import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, mock } from 'node:test'
import { hasCode } from '../errors.ts'
import { formatOwner, currentOwner } from './lock-owner.ts'
import { withLock } from './lock.ts'

const folder = await mkdtemp(join(tmpdir(), 'lock-'))
after(() => rm(folder, { recursive: true }))
let count = 0
const fresh = () => join(folder, `${count++}`, 'lock')
const turn = () => new Promise(setImmediate)

/** Creates a lock with this owner. */
async function lockedBy(owner: string): Promise<string> {
  const file = fresh()
  await withLock(file, {}, async () => {}) // creates the folder
  await writeFile(file, owner)
  return file
}
const own = await currentOwner()
const impatient = { patience: 30 }

describe('withLock', () => {
  it('runs one at a time, also after failures', async () => {
    const file = fresh()
    let [inside, waited] = [0, 0]
    const work = async (fails: boolean) => {
      inside += 1
      assert.equal(inside, 1)
      for (let turns = 0; turns < 5; turns++) await turn()
      inside -= 1
      if (fails) throw new Error('failed')
    }
    const all = Array.from({ length: 10 }, (_, index) =>
      withLock(file, { waiting: () => (waited += 1) }, () => work(index % 3 === 0)),
    )
    const settled = await Promise.allSettled(all)
    assert.equal(settled.filter(({ status }) => status === 'rejected').length, 4)
    assert.equal(waited, 9)
    assert.deepEqual(await readdir(join(file, '..')), [])
  })

  it('takes over the lock of a killed process, one at a time', async () => {
    const file = fresh()
    const holder = fork(new URL('lock-testing.ts', import.meta.url), [file])
    await once(holder, 'message')
    await assert.rejects(
      withLock(file, impatient, async () => {}),
      (error) => hasCode(error, 'STORE_UNAVAILABLE'),
    )
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    let inside = 0
    const work = async () => {
      inside += 1
      assert.equal(inside, 1)
      for (let turns = 0; turns < 20; turns++) await turn()
      inside -= 1
    }
    await Promise.all(Array.from({ length: 8 }, () => withLock(file, {}, work)))
    assert.deepEqual(await readdir(join(file, '..')), [])
  })

  it('recognizes a later process with the same id', async () => {
    const file = await lockedBy(formatOwner({ ...own, started: '1' }))
    assert.equal(await withLock(file, {}, async () => 'in'), 'in')
  })

  it('respects the lock of a running process, however old', async () => {
    const file = await lockedBy(formatOwner(own))
    await utimes(file, 1, 1)
    await assert.rejects(withLock(file, impatient, async () => {}))
  })

  for (const [whose, owner] of [
    ['of another machine', formatOwner({ ...own, machine: 'elsewhere' })],
    ['of an unknown owner', ''],
  ] as const) {
    it(`takes over a lock ${whose} only when it is no longer marked as in use`, async () => {
      const file = await lockedBy(owner)
      await assert.rejects(withLock(file, impatient, async () => {}))
      await utimes(file, 1, 1)
      assert.equal(await withLock(file, {}, async () => 'in'), 'in')
    })
  }

  it('marks its lock as in use', async () => {
    mock.timers.enable({ apis: ['setInterval'] })
    try {
      const file = fresh()
      await withLock(file, {}, async () => {
        await utimes(file, 1, 1)
        mock.timers.tick(6000)
        while ((await stat(file)).mtimeMs < 10_000) await turn()
      })
    } finally {
      mock.timers.reset()
    }
  })

  it('does not remove its lock after another process has taken it over', async () => {
    const file = fresh()
    await withLock(file, {}, () => writeFile(file, 'another'))
    assert.equal(await readFile(file, 'utf8'), 'another')
  })

  it('stops waiting when the signal fires', async () => {
    const file = await lockedBy(formatOwner(own))
    const abort = new AbortController()
    const waiting = withLock(file, { waiting: () => abort.abort(), signal: abort.signal }, async () => {})
    await assert.rejects(waiting, { name: 'AbortError' })
  })
})
