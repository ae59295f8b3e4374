import assert from 'node:assert/strict'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openServer } from '../src/popcount/testing.ts'
import {
  all,
  expected,
  requestedNarinfos,
  openPopcountSet,
  startPopcount,
  type PopcountSet,
} from './support/popcount-set.ts'

let set: PopcountSet
before(async () => {
  set = await openPopcountSet()
})
after(() => set.dispose())

/** The working folder, which also contains the cache. */
let work: string
beforeEach(async () => {
  work = await set.workFolder()
})
const start = (...args: string[]) => startPopcount(work, args)

describe('a process of nixery popcount', () => {
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    it(`that ${signal} ends is continued by the next one`, async () => {
      await mkdir(join(work, 'cache'))
      const server = await openServer(async (path) => {
        await sleep(20)
        return set.fileOf(path.slice(1))
      })
      const args = ['--cache', server.url, '--concurrency', '3', '--output', 'p.json']
      const first = start(...args)
      while (requestedNarinfos(server).length < 20) await sleep(5)
      first.kill(signal)
      const { exitCode, stderr } = await first
      assert.equal(exitCode, signal === 'SIGINT' ? 130 : undefined)
      if (signal === 'SIGINT')
        assert.match(stderr, /nixery: interrupted\n {2}run the same command again to continue/)
      assert.deepEqual(await readdir(work), ['cache'])

      const [label = ''] = await readdir(join(work, 'cache', 'popcount'))
      const files = await readdir(join(work, 'cache', 'popcount', label))
      const cached = files.filter((file) => file.endsWith('.narinfo')).map((file) => `/${file}`)
      assert.ok(cached.length >= 17 && cached.length < all, `${cached.length} of ${all} are cached`)

      server.requests.length = 0
      const second = await start(...args)
      await server.close()
      assert.equal(second.exitCode, 0, second.stderr)
      assert.match(
        second.stderr,
        new RegExp(`${all} of ${all} narinfos read, ${all - cached.length} of them`),
      )
      assert.equal(requestedNarinfos(server).length, all - cached.length)
      assert.deepEqual(
        requestedNarinfos(server).filter((path) => cached.includes(path)),
        [],
      )
      assert.deepEqual(JSON.parse(await readFile(join(work, 'p.json'), 'utf8')), expected)
    })
  }

  it('exits with 2 for invalid usage, and 0 for help', async () => {
    for (const args of [['--nope'], ['--cache', 'ftp://host'], ['c', '--concurrency', '0'], ['a', 'b']]) {
      const { exitCode, stderr } = await start(...args)
      assert.equal(exitCode, 2, args.join(' '))
      assert.match(stderr, /^error: /)
    }
    const { exitCode, stdout } = await start('--help')
    assert.equal(exitCode, 0)
    assert.match(stdout, /--store-paths/)
  })
})
