import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { createPopularity } from '../src/popcount/source.ts'
import { openServer, type Reply } from '../src/popcount/testing.ts'
import {
  all,
  expected,
  requestedNarinfos,
  openPopcountSet,
  startPopcount,
  type PopcountSet,
} from './support/popcount-set.ts'

const commit = '0123456789'.repeat(4)

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

describe('nixery popcount', () => {
  it('counts the references in a binary cache', async () => {
    const server = await openServer((path) => set.fileOf(path.slice(1)))
    const { exitCode, stdout, stderr } = await start('--cache', server.url, '--output', '-')
    await server.close()
    assert.equal(exitCode, 0)
    assert.equal(stdout, JSON.stringify(expected))
    assert.match(stderr, new RegExp(`^${all} store paths\n${all} of ${all} narinfos read, ${all} of them`))
    assert.deepEqual(
      server.requests.filter((path) => !path.endsWith('.narinfo')),
      ['/store-paths.xz'],
    )
    assert.equal(requestedNarinfos(server).length, all)
  })

  it('reads a cache and a list from disk', async () => {
    const list = join(set.binaryCache, 'store-paths')
    const { stdout } = await start(
      '--cache',
      pathToFileURL(set.binaryCache).href,
      '--store-paths',
      list,
      '--output',
      '-',
    )
    assert.deepEqual(JSON.parse(stdout), expected)
  })

  it('finds the release of a channel, and names the output after it', async () => {
    const server = await openServer((path) => {
      if (path === '/channels/nixos-test') return { status: 302, headers: { Location: '/releases/test-1' } }
      if (path === '/releases/test-1/git-revision') return { body: commit }
      return set.fileOf(path.replace('/releases/test-1/', '').replace('/cache/', ''))
    })
    const sites = ['--channels-url', `${server.url}/channels`, '--cache', `${server.url}/cache`]
    const { stdout, stderr } = await start('nixos-test', ...sites, '--json')
    await server.close()
    assert.ok(server.requests.includes('/releases/test-1/store-paths.xz'))
    const events = stderr.split('\n').map((line) => JSON.parse(line) as { type: string; message?: string })
    assert.ok(events.some(({ message }) => message === `nixos-test is at commit ${commit}`))

    const output = join(work, `popularity-nixos-test-${commit}.json`)
    const { seconds, ...summary } = JSON.parse(stdout) as { seconds: number }
    assert.ok(seconds < 60)
    assert.deepEqual(summary, {
      channel: 'nixos-test',
      commit,
      cache: `${server.url}/cache`,
      output,
      paths: all,
      invalid: 0,
      kept: 0,
      fetched: all,
      missing: 0,
      broken: 0,
      failed: 0,
      names: 2,
    })
    const options = { refreshSeconds: 3600, note: () => {}, warn: () => {} }
    const popularity = await createPopularity({ ...options, url: pathToFileURL(output).href })
    popularity.stop()
    assert.deepEqual(Object.fromEntries(popularity.current().counts), expected)
    assert.deepEqual((await readdir(work)).sort(), ['cache', `popularity-nixos-test-${commit}.json`])
  })

  it('continues past missing and broken narinfos, reports them, and requests only those the next time', async () => {
    const faults = new Map<string, (nth: number, good: Reply) => Reply>([
      ['many-1.0-o1', () => ({ status: 404 })],
      ['many-1.0-o2', () => ({ status: 403 })],
      ['many-1.0-o3', (_, good) => ({ body: String(good.body).slice(0, 300) })],
      ['many-1.0-o4', () => ({ body: '<html>\n' })],
      ['many-1.0-o5', () => ({ status: 401 })],
      ['many-1.0-o6', (nth, good) => (nth === 1 ? { status: 500 } : good)],
      ['many-1.0-o7', (nth, good) => (nth === 1 ? { ...good, cut: true } : good)],
      ['many-1.0-o8', (nth, good) => (nth === 1 ? { status: 429, headers: { 'Retry-After': '1' } } : good)],
    ])
    const bad = ['o1', 'o2', 'o3', 'o4', 'o5'].map((output) => set.narinfo(`many-1.0-${output}`))
    const byFile = new Map([...faults].map(([name, fault]) => [set.narinfo(name), fault]))
    // A complete narinfo of another path.
    byFile.set(set.narinfo('many-1.0-o9'), () => ({ body: other }))
    bad.push(set.narinfo('many-1.0-o9'))
    const other = await readFile(join(set.binaryCache, set.narinfo('get-8.0')))
    let isRepaired = false
    const server = await openServer(async (path, nth) => {
      const good = await set.fileOf(path.slice(1))
      return (isRepaired ? undefined : byFile.get(path.slice(1)))?.(nth, good) ?? good
    })

    const first = await start('--cache', server.url, '--output', 'p.json')
    assert.match(first.stderr, new RegExp(`${all - 6} of ${all} narinfos read`))
    assert.match(
      first.stderr,
      /not read: 2 not in the cache, 3 broken, 1 could not be fetched; for example\n/,
    )
    assert.match(first.stderr, /many-1\.0-o1: not in the cache \(404\)\n/)
    assert.match(first.stderr, /many-1\.0-o5: the cache responded with 401\n/)
    const counts = JSON.parse(await readFile(join(work, 'p.json'), 'utf8')) as typeof expected
    assert.equal(counts['libc-2.40'], expected['libc-2.40'] - 6)
    for (const name of ['o6', 'o7', 'o8']) {
      const path = `/${set.narinfo(`many-1.0-${name}`)}`
      assert.equal(server.requests.filter((each) => each === path).length, 2, name)
    }

    server.requests.length = 0
    isRepaired = true
    const second = await start('--cache', server.url, '--output', 'p.json')
    assert.match(second.stderr, new RegExp(`${all} of ${all} narinfos read, 6 of them fetched in this run; `))
    assert.deepEqual(requestedNarinfos(server).sort(), bad.map((file) => `/${file}`).sort())
    assert.deepEqual(JSON.parse(await readFile(join(work, 'p.json'), 'utf8')), expected)

    server.requests.length = 0
    await start('--cache', server.url, '--output', '-')
    await server.close()
    assert.deepEqual(server.requests, ['/store-paths.xz'])
  })

  it('does not trust an incomplete cached narinfo', async () => {
    const server = await openServer((path) => set.fileOf(path.slice(1)))
    await start('--cache', server.url, '--output', '-')
    const [label = ''] = await readdir(join(work, 'cache', 'popcount'))
    await writeFile(join(work, 'cache', 'popcount', label, set.narinfo('get-8.0')), '')
    server.requests.length = 0
    const { stdout } = await start('--cache', server.url, '--output', '-')
    await server.close()
    assert.deepEqual(requestedNarinfos(server), [`/${set.narinfo('get-8.0')}`])
    assert.equal(stdout, JSON.stringify(expected))
  })

  it('fails when nothing can be read', async () => {
    const server = await openServer((path) =>
      path === '/store-paths.xz' ? set.fileOf(path) : { status: 404 },
    )
    const lists: [list: string, content: string, message: RegExp][] = [
      ['all', set.paths.join('\n'), new RegExp(`no narinfo could be read: ${all} are not in the cache`)],
      ['none', '\n', /it contains no store paths/],
      ['damaged', '\u00fd7zXZ\u0000damaged', /cannot be decompressed: xz: /],
    ]
    for (const [list, content, message] of lists) {
      await writeFile(join(work, list), Buffer.from(content, 'latin1'))
      const args = ['--cache', server.url, '--store-paths', list, '--output', 'p.json']
      const { exitCode, stderr } = await start(...args)
      assert.equal(exitCode, 4)
      assert.match(stderr, message)
    }
    const { exitCode, stderr } = await start('--cache', `${server.url}/none`)
    assert.equal(exitCode, 4)
    assert.match(stderr, /it does not exist\n.*--store-paths/)
    await server.close()
    assert.ok(!(await readdir(work)).includes('p.json'))
  })

  const invalid: [args: string[], message: RegExp][] = [
    [[], /name a channel, or a binary cache/],
    [['c', '--store-paths', 'list'], /a channel has its own list/],
    [['c', '--output', '-', '--json'], /both write to standard output/],
    [['c', '--output', 'nowhere/p.json'], /nowhere cannot be written: ENOENT/],
    [['../c', '--channels-url', 'http://127.0.0.1:1'], /not a valid channel name/],
  ]
  for (const [args, message] of invalid) {
    it(`refuses ${JSON.stringify(args)}`, async () => {
      const { exitCode, stderr } = await start(...args)
      assert.equal(exitCode, 2)
      assert.match(stderr, message)
    })
  }
})
