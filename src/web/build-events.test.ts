import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../image/digest.ts'
import { isStream, type OpenBody } from '../http/reply.ts'
import { testRequest } from '../http/web-fetch-testing.ts'
import { createBuildEvents } from './build-events.ts'
import { createHistory } from './history.ts'

const id = '00000000-0000-4000-8000-000000000000'

describe('the events of a build', () => {
  const begin = (linesPerBuild = 10) => {
    const history = createHistory({ builds: 5, linesPerBuild })
    const stop = new AbortController()
    const events = createBuildEvents({ history, stopping: stop.signal })
    history.listener(id, { type: 'started', image: 'git' })
    const line = (text: string) => history.listener(id, { type: 'nix', line: text })
    const end = () => history.listener(id, { type: 'finished', digest: digestOf('x'), ms: 1 })
    const open = async (query = '', headers = {}): Promise<OpenBody | undefined> => {
      const { body } = events(testRequest(`/builds/${id}/events`, { query, headers }), id)
      return isStream(body) ? body.open() : undefined
    }
    return { history, stop, line, end, open }
  }
  const readAll = async (body: OpenBody | undefined): Promise<string> => {
    assert.ok(body)
    const chunks: Uint8Array[] = []
    for await (const chunk of body.chunks()) chunks.push(chunk)
    await body.close()
    return Buffer.concat(chunks).toString()
  }

  it('contain numbered lines, changes, and an end', async () => {
    const { history, line, end, open } = begin()
    line('one')
    const reading = readAll(await open())
    await sleep(1)
    line('two')
    history.listener(id, { type: 'planned', layers: 1, known: 0 })
    await sleep(1)
    end()
    const text = await reading
    assert.match(text, /^event: lines\nid: 1\ndata: \["one"\]\n\n/)
    assert.match(text, /event: lines\nid: 2\ndata: \["two"\]\n\n/)
    assert.match(text, /event: changed\ndata: null\n\n/)
    assert.match(text, /event: end\ndata: null\n\n$/)
  })

  it('resume after the last one that the browser received', async () => {
    const { line, end, open } = begin()
    for (const text of ['one', 'two', 'three']) line(text)
    end()
    assert.match(
      await readAll(await open('', { 'last-event-id': '2' })),
      /^event: lines\nid: 3\ndata: \["three"\]/,
    )
    assert.match(await readAll(await open('after=3')), /^event: end/)
    assert.match(await readAll(await open('after=x')), /"one","two","three"/)
    // Lines that were dropped cannot be sent.
    const short = begin(2)
    for (const text of ['one', 'two', 'three']) short.line(text)
    short.end()
    assert.match(await readAll(await short.open('after=0')), /^event: lines\nid: 3\ndata: \["two","three"\]/)
  })

  it('end when the server stops, and are limited in number', async () => {
    const { stop, open } = begin()
    const bodies = await Promise.all(Array.from({ length: 64 }, () => open()))
    assert.equal(await open(), undefined, 'too many')
    await bodies[0]?.close()
    const one = await open()
    assert.ok(one)
    const reading = readAll(one)
    stop.abort()
    assert.equal(await reading, '')
  })

  it('are not found for a build that is no longer remembered', () => {
    const { history } = begin()
    const events = createBuildEvents({ history, stopping: new AbortController().signal })
    const other = id.replace('8', '9')
    assert.equal(events(testRequest(`/builds/${other}/events`), other).status, 204)
  })

  it('leave room for other addresses than the one that has opened the most', async () => {
    const history = createHistory({ builds: 5, linesPerBuild: 10 })
    history.listener(id, { type: 'started', image: 'git' })
    const events = createBuildEvents({
      history,
      stopping: new AbortController().signal,
      addressOf: (request) => request.header('x-address'),
    })
    const ask = (address: string) =>
      events(testRequest(`/builds/${id}/events`, { headers: { 'x-address': address } }), id)
    const openFrom = async (address: string) => {
      const { body } = ask(address)
      return isStream(body) ? body.open() : undefined
    }
    const first = await Promise.all(Array.from({ length: 20 }, () => openFrom('a')))
    assert.equal(first.filter((one) => one !== undefined).length, 16)
    assert.ok(await openFrom('b'))
    await first[0]?.close()
    assert.ok(await openFrom('a'))
    assert.equal(ask('a').status, 204)
    // Requested at the same time, before any of them is opened.
    await first[1]?.close()
    const [one, two] = [ask('a').body, ask('a').body]
    assert.ok(isStream(one) && isStream(two) && (await one.open()))
    await assert.rejects(two.open(), /too many streams/)
  })
})
