import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { openPush, type PushEvent, type PushImage } from './push.ts'
import { content, failsWith, imageOf, pushTo, type More } from './push-testing.ts'
import { openDouble, type Double } from './testing.ts'

let double: Double
before(async () => {
  double = await openDouble()
})
after(() => double.close())
afterEach(() => double.reset())
let events: PushEvent[]
beforeEach(() => {
  events = []
})

const push = (image: PushImage, repository: string, more: More = {}) =>
  pushTo(double.host, image, repository, { events, ...more })
const arrivals = () =>
  events.flatMap((event) => (event.type === 'blob' ? event.arrival : [])).sort((a, b) => a.localeCompare(b))

describe('a push', () => {
  it('uploads missing blobs once, and the manifest under all tags', async () => {
    const image = imageOf(10, 2_000_000, 0, 10_000)
    await push(image, 'a/b', { tags: ['v1', 'v2'] })
    assert.deepEqual(arrivals(), Array(5).fill('uploaded'))
    for (const tag of ['v1', 'v2']) assert.deepEqual(double.manifests.get(`a/b:${tag}`), image.manifest.bytes)
    const sent = events.reduce((sum, event) => sum + (event.type === 'sent' ? event.bytes : 0), 0)
    assert.equal(sent, 2_010_210)

    events = []
    await push(image, 'a/b')
    assert.deepEqual(arrivals(), Array(5).fill('present'))
    events = []
    await push(image, 'a/c', { mountFrom: 'a/b' })
    assert.deepEqual(arrivals(), Array(5).fill('mounted'))
  })

  it('uploads a blob that cannot be mounted, in the session that the registry opens instead or in a new one', async () => {
    const image = imageOf(10)
    await push(image, 'd', { mountFrom: 'nowhere' })
    assert.equal(double.seen.filter(({ method }) => method === 'POST').length, 2)
    double.mischief = ({ url }, response) => url?.includes('mount=') && !!response.writeHead(405).end()
    await push(imageOf(10), 'd', { mountFrom: 'a/b' })
    assert.deepEqual(arrivals(), Array(4).fill('uploaded'))
  })

  it('uploads a blob once, even if the image has it several times', async () => {
    const image = imageOf(10)
    await push({ ...image, blobs: [...image.blobs, ...image.blobs] }, 'e')
    assert.equal(arrivals().length, 2)
  })

  it('follows upload locations: relative, absolute, and with an unchanged query', async () => {
    for (const location of [
      (session: string) => session,
      (session: string) => `http://${double.host}${session}`,
      (session: string) => session.replace('/v2/f/blobs/uploads/', ''),
    ]) {
      double.location = location
      await push(imageOf(10), 'f')
    }
    assert.deepEqual(new Set(arrivals()), new Set(['uploaded']))
  })

  it('retries transient failures, and respects Retry-After', async () => {
    const failures = [
      { status: 503 },
      { status: 429, headers: { 'Retry-After': '1' } },
      { status: 500 },
      'reset',
    ] as const
    for (const failure of failures) {
      let left = 2
      double.mischief = ({ method, socket }, response) => {
        if (method !== 'PUT' || left-- <= 0) return undefined
        if (failure === 'reset') socket.destroy()
        else response.writeHead(failure.status, 'headers' in failure ? failure.headers : {}).end()
        return true
      }
      const started = performance.now()
      await push(imageOf(), 'g')
      if (failure !== 'reset' && failure.status === 429) assert.ok(performance.now() - started > 1_900)
    }
    assert.equal(events.filter(({ type }) => type === 'retry').length, 8)
  })

  it('gives up after several attempts, and immediately if a retry is pointless', async () => {
    double.mischief = ({ method }, response) => method === 'POST' && !!response.writeHead(503).end('busy')
    await assert.rejects(
      push(imageOf(), 'h'),
      failsWith('REGISTRY_UNAVAILABLE', /failed on an upload to h \(503\)/),
    )
    assert.equal(events.filter(({ type }) => type === 'retry').length, 3)
    events = []
    double.mischief = ({ method }, response) =>
      method === 'PUT' &&
      !!response
        .writeHead(413)
        .end(JSON.stringify({ errors: [{ code: 'TOO_\u001b[31mBIG', message: 'a\nb' }] }))
    const refusal = failsWith('REGISTRY_REFUSED', /refused a blob upload \(413, TOO_BIG: a b\)$/)
    await assert.rejects(push(imageOf(30_000_000), 'h'), refusal)
    assert.equal(events.filter(({ type }) => type === 'retry').length, 0)
  })

  it('retries while the registry is busy', async () => {
    let left = 2
    double.mischief = ({ url }, response) => url === '/v2/' && left-- > 0 && !!response.writeHead(503).end()
    await push(imageOf(), 'busy')
    assert.equal(events.filter(({ type }) => type === 'retry').length, 2)
  })

  it('uses the proxy of the environment, except for this machine', async () => {
    const hosts: (string | undefined)[] = []
    // To a proxy, the whole address is sent as the path.
    double.mischief = (request) => {
      hosts.push(request.headers.host)
      request.url = request.url?.replace(/^http:\/\/[^/]*/, '') ?? ''
      return false
    }
    const proxy = process.env['HTTP_PROXY']
    process.env['HTTP_PROXY'] = `http://${double.host}`
    try {
      await pushTo('registry.invalid', imageOf(10), 'proxied', { insecure: true })
      process.env['HTTP_PROXY'] = 'http://127.0.0.1:1'
      await push(imageOf(10), 'direct')
    } finally {
      if (proxy === undefined) delete process.env['HTTP_PROXY']
      else process.env['HTTP_PROXY'] = proxy
    }
    assert.deepEqual(new Set(hosts), new Set(['registry.invalid', double.host]))
  })

  it('does not complete the upload of a damaged blob, and leaves nothing running', async () => {
    async function* damaged() {
      yield Buffer.alloc(100_000)
      throw new NixeryError('STORE_UNAVAILABLE', 'damaged')
    }
    const image = imageOf(500_000, 500_000)
    await assert.rejects(push(image, 'i', { read: damaged }), failsWith('STORE_UNAVAILABLE', /^damaged$/))
    assert.equal(double.repositories.get('i')?.size ?? 0, 0)
    assert.equal(double.manifests.has('i:latest'), false)
  })

  it('ends when interrupted', async () => {
    const abort = new AbortController()
    async function* slow() {
      yield Buffer.alloc(100)
      abort.abort(new NixeryError('CANCELLED', 'interrupted'))
      await new Promise(() => {})
    }
    await assert.rejects(
      push(imageOf(1000), 'j', { read: slow, signal: abort.signal }),
      failsWith('CANCELLED', /interrupted/),
    )
  })

  it('fails if the registry stores a different manifest', async () => {
    double.mischief = ({ method, url }, response) =>
      method === 'PUT' &&
      url?.includes('/manifests/') &&
      !!response.writeHead(201, { 'Docker-Content-Digest': digestOf('x') }).end()
    await assert.rejects(push(imageOf(), 'k'), failsWith('REGISTRY_REFUSED', /a different manifest/))
  })

  it('reports a host that is not a registry, or is unreachable', async () => {
    double.mischief = (_, response) => !!response.writeHead(404).end('<html>')
    await assert.rejects(push(imageOf(), 'l'), failsWith('REGISTRY_REFUSED', /\(404\)$/))
    const options = { credentials: undefined, insecure: false, mountFrom: () => undefined, read: content }
    const { signal } = new AbortController()
    await assert.rejects(
      openPush({ host: '127.0.0.1:1' }, { ...options, listener: () => {}, signal }),
      failsWith('REGISTRY_UNAVAILABLE', /^127\.0\.0\.1:1 cannot be reached: ECONNREFUSED$/),
    )
  })
})
