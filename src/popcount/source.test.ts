import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { noPopularity } from '../closure/popularity.ts'
import { createGet } from './get.ts'
import { createPopularity } from './source.ts'
import { openServer, type Reply } from './testing.ts'
import { until } from '../../test/support/until.ts'

const get = createGet({ retries: 1, firstDelay: 1 })

async function open(url: string | undefined, refreshSeconds = 3600, copyFolder?: string) {
  const lines: string[] = []
  const warnings: string[] = []
  const note = (line: string) => lines.push(line)
  const warn = (line: string) => warnings.push(line)
  const source = await createPopularity({
    url,
    refreshSeconds,
    note,
    warn,
    get,
    ...(copyFolder !== undefined && { copyFolder }),
  })
  return { lines, warnings, ...source, polling: source.poll() }
}

describe('createPopularity', () => {
  it('has no data without a URL', async () => {
    assert.equal((await open(undefined)).current(), noPopularity)
  })

  it('refreshes, and keeps the last good data after any failure', async () => {
    const data = (count: number): Reply => ({
      body: `{"glibc-2.40":${count}}`,
      headers: { ETag: `"${count}"` },
    })
    let reply: Reply = data(2)
    const tags: (string | undefined)[] = []
    const server = await openServer((_path, _nth, headers) => {
      tags.push(headers['if-none-match'])
      const isKnown = reply.headers && headers['if-none-match'] === reply.headers['ETag']
      return isKnown ? { status: 304 } : reply
    })
    const popularity = await open(`${server.url}/p.json`, 0.02)
    try {
      const first = popularity.current()
      assert.equal(first.counts.get('glibc-2.40'), 2)
      await until(() => tags.length > 3)
      assert.deepEqual(tags.slice(0, 3), [undefined, '"2"', '"2"'])
      assert.equal(popularity.current(), first)

      const faults: [Reply, RegExp][] = [
        [{ status: 500 }, /responded with 500/],
        [{ status: 404 }, /responded with 404/],
        [{ body: '{"glibc-2.40":-1}' }, /count of "glibc-2.40"/],
        [{ body: '{"glibc', cut: true }, /cannot read/],
      ]
      for (const [fault, message] of faults) {
        popularity.warnings.length = 0
        reply = fault
        await until(() => popularity.warnings.length > 1)
        assert.match(popularity.warnings[1] ?? '', message)
        assert.equal(popularity.current(), first)
      }

      reply = data(3)
      await until(() => popularity.current() !== first)
      assert.equal(popularity.current().counts.get('glibc-2.40'), 3)
      assert.notEqual(popularity.current().version, first.version)
      assert.equal(popularity.lines.length, 2)
    } finally {
      popularity.stop()
      await server.close()
    }
  })

  it('sends no more requests after it was stopped', async () => {
    const requests = { stopped: 0, running: 0 }
    const server = await openServer((path) => {
      requests[path === '/stopped.json' ? 'stopped' : 'running'] += 1
      return { body: '{"a":1}' }
    })
    const stopped = await open(`${server.url}/stopped.json`, 0.01)
    const running = await open(`${server.url}/running.json`, 0.01)
    try {
      await until(() => requests.stopped > 2)
      stopped.stop()
      const before = { ...requests }
      await until(() => requests.running > before.running + 5)
      // One request may have been on its way.
      assert.ok(requests.stopped <= before.stopped + 1, `${requests.stopped - before.stopped} requests`)
    } finally {
      stopped.stop()
      running.stop()
      await server.close()
    }
  })

  it('checks for new data only while it polls, or on demand', async (t) => {
    let now = performance.now()
    t.mock.method(performance, 'now', () => now)
    let requests = 0
    const server = await openServer(() => ({ body: `{"a":${(requests += 1)}}` }))
    const popularity = await open(`${server.url}/p.json`, 0.01)
    try {
      await until(() => requests > 2)
      popularity.polling.stop()
      // A request may be on its way.
      let before: number
      do {
        before = requests
        await sleep(50)
      } while (requests > before)
      now += 30_000
      popularity.refresh()
      popularity.refresh()
      await until(() => popularity.current().counts.get('a') === before + 1)
      popularity.refresh()
      await sleep(50)
      assert.equal(requests, before + 1)
      popularity.poll()
      await until(() => requests > before + 2)
    } finally {
      popularity.stop()
      await server.close()
    }
  })

  it('reads a file again when it has changed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-popularity-'))
    const file = join(folder, 'p.json')
    await writeFile(file, '{"a":2}')
    const popularity = await open(pathToFileURL(file).href, 0.02)
    try {
      await writeFile(file, '{"a":22}')
      await until(() => popularity.current().counts.get('a') === 22)
      await rm(file)
      await until(() => popularity.warnings.length > 0)
      assert.equal(popularity.current().counts.get('a'), 22)
    } finally {
      popularity.stop()
      await rm(folder, { recursive: true })
    }
  })

  it('starts with the last copy if the URL is unreachable, and then refreshes it', async () => {
    const copyFolder = join(await mkdtemp(join(tmpdir(), 'nixery-popularity-')), 'cache')
    let reply: Reply = { body: '{"glibc-2.40":2}' }
    const server = await openServer(() => reply)
    const url = `${server.url}/p.json`
    try {
      const first = await open(url, 3600, copyFolder)
      first.stop()
      for (const fault of [{ status: 503 }, { status: 404 }, { body: 'not JSON' }]) {
        reply = fault
        const again = await open(url, 0.02, copyFolder)
        assert.equal(again.current().version, first.current().version)
        assert.match(again.warnings[0] ?? '', /^NIX_POPULARITY_URL: .*; using the last copy$/)
        reply = { body: '{"glibc-2.40":3}' }
        await until(() => again.current().counts.get('glibc-2.40') === 3)
        again.stop()
        reply = { body: '{"glibc-2.40":2}' }
        ;(await open(url, 3600, copyFolder)).stop()
      }
      // The copy belongs to this URL only.
      reply = { status: 404 }
      await assert.rejects(open(`${server.url}/other.json`, 3600, copyFolder), /responded with 404/)
    } finally {
      await server.close()
      await rm(join(copyFolder, '..'), { recursive: true })
    }
  })

  it('fails at startup with the variable and the reason', async () => {
    const server = await openServer((path) => (path === '/bad' ? { body: '[]' } : { status: 404 }))
    const rows: [url: string, message: RegExp][] = [
      [`${server.url}/missing`, /^NIX_POPULARITY_URL: .*\/missing: it responded with 404/],
      [`${server.url}/bad`, /^NIX_POPULARITY_URL: .*not a JSON object/],
      ['file:///nowhere/p.json', /^NIX_POPULARITY_URL: .*404/],
      ['p.json', /^NIX_POPULARITY_URL: not a URL/],
      ['ftp://host/p.json', /^NIX_POPULARITY_URL: not a URL/],
    ]
    try {
      for (const [url, message] of rows) {
        await assert.rejects(open(url), (error: Error & { code?: string }) => {
          assert.equal(error.code, 'CONFIG_INVALID')
          assert.ok(error.cause instanceof Error)
          assert.match(error.message, message)
          return true
        })
      }
    } finally {
      await server.close()
    }
  })
})
