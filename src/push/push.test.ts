import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'
import type { Credentials } from './credentials.ts'
import { openPush, type PushEvent, type PushImage } from './push.ts'
import { openDouble, type Double } from './testing.ts'
import { requestToken } from './tokens.ts'
import type { Request } from './transport.ts'

const contents = new Map<Digest, Buffer>()
const partOf = (bytes: Buffer) => {
  const digest = digestOf(bytes)
  contents.set(digest, bytes)
  return { digest, size: bytes.length }
}

/** An image of new blobs. */
function imageOf(...sizes: number[]): PushImage {
  const [config, ...layers] = [200, ...sizes].map((size) => partOf(randomBytes(size)))
  const text = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.oci.manifest, config, layers })
  const bytes = Buffer.from(text)
  const blobs = [config, ...layers].flatMap((part) => part ?? [])
  return { form: 'oci', manifest: { ...partOf(bytes), bytes }, blobs }
}

let double: Double
let other: Double
before(async () => {
  double = await openDouble()
  other = await openDouble()
})
after(async () => {
  await double.close()
  await other.close()
})
let events: PushEvent[]
beforeEach(() => {
  events = []
})
afterEach(() => {
  for (const each of [double, other]) {
    Object.assign(each, { mischief: undefined, demand: undefined, location: undefined })
    ;(each.seen as unknown[]).length = 0
  }
})

type More = {
  credentials?: Credentials
  mountFrom?: string
  tags?: string[]
  signal?: AbortSignal
  read?: (part: { digest: Digest }) => AsyncIterable<Uint8Array>
}

async function* content({ digest }: { digest: Digest }): AsyncGenerator<Uint8Array> {
  const bytes = contents.get(digest) ?? Buffer.alloc(0)
  for (let from = 0; from < bytes.length; from += 65_536) yield bytes.subarray(from, from + 65_536)
}

async function push(image: PushImage, repository: string, more: More = {}): Promise<void> {
  const pushing = await openPush(double, {
    credentials: more.credentials,
    insecure: false,
    mountFrom: () => more.mountFrom,
    read: more.read ?? content,
    listener: (event) => events.push(event),
    signal: more.signal ?? new AbortController().signal,
    firstDelay: 1,
  })
  try {
    await pushing.push(image, repository, more.tags ?? ['latest'])
  } finally {
    pushing.close()
  }
}

const arrivals = () =>
  events.flatMap((event) => (event.type === 'blob' ? event.arrival : [])).sort((a, b) => a.localeCompare(b))
const failsWith = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NixeryError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}
const uploads = (from: Double) => from.seen.filter(({ method }) => method === 'PUT')

describe('a push', () => {
  it('uploads what is lacking, once, and names it with all tags', async () => {
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

  it('uploads what cannot be mounted, in the session that it gets instead, or refused in a new one', async () => {
    const image = imageOf(10)
    await push(image, 'd', { mountFrom: 'nowhere' })
    assert.equal(double.seen.filter(({ method }) => method === 'POST').length, 2)
    double.mischief = ({ url }, response) => url?.includes('mount=') && !!response.writeHead(405).end()
    await push(imageOf(10), 'd', { mountFrom: 'a/b' })
    assert.deepEqual(arrivals(), Array(4).fill('uploaded'))
  })

  it('uploads each blob once, however often an image has it', async () => {
    const image = imageOf(10)
    await push({ ...image, blobs: [...image.blobs, ...image.blobs] }, 'e')
    assert.equal(arrivals().length, 2)
  })

  it('goes where an upload is to go: relative, absolute, and with its query as it was', async () => {
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

  it('tries again what may pass, after the time that it is asked to wait', async () => {
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

  it('gives up in the end, and at once where trying again is of no use', async () => {
    double.mischief = ({ method }, response) => method === 'POST' && !!response.writeHead(503).end('busy')
    await assert.rejects(
      push(imageOf(), 'h'),
      failsWith('REGISTRY_UNAVAILABLE', /failed to begin an upload to h \(503\)/),
    )
    assert.equal(events.filter(({ type }) => type === 'retry').length, 3)
    events = []
    double.mischief = ({ method }, response) =>
      method === 'PUT' &&
      !!response
        .writeHead(413)
        .end(JSON.stringify({ errors: [{ code: 'TOO_\u001b[31mBIG', message: 'a\nb' }] }))
    const refusal = failsWith('REGISTRY_REFUSED', /refused to take a blob \(413, TOO_BIG: a b\)$/)
    await assert.rejects(push(imageOf(30_000_000), 'h'), refusal)
    assert.equal(events.filter(({ type }) => type === 'retry').length, 0)
  })

  it('does not send the whole of a damaged blob, and leaves nothing running', async () => {
    async function* damaged() {
      yield Buffer.alloc(100_000)
      throw new NixeryError('STORE_UNAVAILABLE', 'damaged')
    }
    const image = imageOf(500_000, 500_000)
    await assert.rejects(push(image, 'i', { read: damaged }), failsWith('STORE_UNAVAILABLE', /^damaged$/))
    assert.equal(double.repositories.get('i')?.size ?? 0, 0)
    assert.equal(double.manifests.has('i:latest'), false)
  })

  it('ends when it is interrupted', async () => {
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

  it('refuses to believe a registry that keeps another manifest', async () => {
    double.mischief = ({ method, url }, response) =>
      method === 'PUT' &&
      url?.includes('/manifests/') &&
      !!response.writeHead(201, { 'Docker-Content-Digest': digestOf('x') }).end()
    await assert.rejects(push(imageOf(), 'k'), failsWith('REGISTRY_REFUSED', /another manifest/))
  })

  it('is told that a registry is none, or is not there', async () => {
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

describe('credentials', () => {
  const password: Credentials = { kind: 'password', username: 'user', password: 'pass:word' }
  const basic = `Basic ${Buffer.from('user:pass:word').toString('base64')}`

  it('are sent when Basic is demanded', async () => {
    double.demand = { accepts: (given) => given === basic, challenge: 'Basic realm="x"' }
    await push(imageOf(10), 'm', { credentials: password })
    await assert.rejects(push(imageOf(10), 'm'), failsWith('REGISTRY_REFUSED', /401/))
    const wrong = { ...password, password: 'secret' }
    await assert.rejects(push(imageOf(10), 'm', { credentials: wrong }), (error) => {
      assert.doesNotMatch(JSON.stringify([error, String(error), (error as NixeryError).hint]), /secret|c2Vjc/)
      return failsWith('REGISTRY_REFUSED', /401/)(error)
    })
  })

  it('never go to another host: not with an upload, nor with a redirect', async () => {
    double.demand = { accepts: (given) => given === basic, challenge: 'Basic realm="x"' }
    const image = imageOf(10)
    // Sessions are the first one's: the other takes what it gets, and says so.
    other.mischief = ({ method, headers }, response) => {
      ;(other.seen as unknown[]).push({ method, authorization: headers.authorization })
      return !!response.writeHead(201).end()
    }
    double.location = (session) => `http://${other.host}${session}`
    await assert.rejects(
      push(image, 'n', { credentials: password }),
      failsWith('REGISTRY_REFUSED', /manifest/),
    )
    double.location = undefined
    double.mischief = ({ method, url }, response) =>
      method === 'PUT' && !!response.writeHead(307, { Location: `http://${other.host}${url}` }).end()
    await push(image, 'n', { credentials: password })
    assert.equal(uploads(other).length, 5)
    assert.ok(other.seen.every(({ authorization }) => authorization === undefined))
    assert.ok(double.seen.some(({ authorization }) => authorization === basic))
  })

  /** Has the other double hand out tokens, each for some uses. */
  const tokenServer = (uses: number) => {
    const asked: { scopes: string[]; account: string | null; authorization: string | undefined }[] = []
    const left = new Map<string | undefined, number>()
    other.mischief = ({ url, headers, method }, response) => {
      const query = new URL(url ?? '', 'http://x').searchParams
      if (method !== 'GET') return undefined
      asked.push({
        scopes: query.getAll('scope'),
        account: query.get('account'),
        authorization: headers.authorization,
      })
      left.set(`Bearer t${asked.length}`, uses)
      return !!response.end(JSON.stringify({ token: `t${asked.length}`, expires_in: 300 }))
    }
    const accepts = (given: string | undefined) => {
      left.set(given, (left.get(given) ?? 0) - 1)
      return (left.get(given) ?? 0) >= 0
    }
    const challenge = `Bearer realm="http://${other.host}/token",service="s",scope="repository:x:wide"`
    double.demand = { accepts, challenge }
    return asked
  }

  it('get a token where Bearer is demanded, and another when it has run out', async () => {
    const asked = tokenServer(4)
    await push(imageOf(10, 20, 30), 'o', { credentials: password })
    assert.deepEqual(asked[0], {
      scopes: ['repository:o:pull,push'],
      account: 'user',
      authorization: basic,
    })
    assert.ok(asked.length > 2, `${asked.length} tokens`)
    assert.deepEqual(asked[1]?.scopes, ['repository:o:pull,push', 'repository:x:wide'])
  })

  it('ask for the repository that is mounted from, too', async () => {
    const asked = tokenServer(1000)
    await push(imageOf(10), 'p', { mountFrom: 'o' })
    assert.deepEqual(asked[0]?.authorization, undefined)
    assert.ok(asked.some(({ scopes }) => scopes.includes('repository:o:pull')))
  })

  it('may be an identity token, which is exchanged', async () => {
    let form = ''
    other.mischief = ({ method }, response) => {
      if (method === 'POST') response.end('{"access_token":"granted"}')
      return false
    }
    double.demand = {
      accepts: (given) => given === 'Bearer granted',
      challenge: `Bearer realm="http://${other.host}/token",service="s"`,
    }
    await push(imageOf(10), 'q', { credentials: { kind: 'identity', token: 'refresh me' } })
    form = other.seen[0]?.body.toString() ?? ''
    assert.match(form, /grant_type=refresh_token.*refresh_token=refresh\+me&service=s/)
  })

  it('are refused with the token server’s words', async () => {
    other.mischief = (_, response) =>
      !!response.writeHead(401).end('{"errors":[{"code":"DENIED","message":"who are you"}]}')
    double.demand = {
      accepts: () => false,
      challenge: `Bearer realm="http://${other.host}/token"`,
    }
    await assert.rejects(
      push(imageOf(10), 'r', { credentials: password }),
      failsWith('REGISTRY_REFUSED', /the token server, answered 401: DENIED: who are you/),
    )
  })

  it('are not sent unencrypted because a registry says so', async () => {
    const sent: Request[] = []
    const transport = {
      send: (request: Request) => {
        sent.push(request)
        return Promise.resolve({ status: 200, headers: {}, text: '{"token":"t"}' })
      },
      close: () => {},
    }
    const ask = (realm: string) => {
      const challenge = { scheme: 'bearer', parameters: new Map([['realm', realm]]) }
      return requestToken(transport, new URL('https://r.example/v2/'), challenge, ['s'], password, undefined)
    }
    await assert.rejects(ask('http://auth.example/token'), failsWith('REGISTRY_REFUSED', /unencrypted/))
    await assert.rejects(ask('ftp://auth.example/'), failsWith('REGISTRY_REFUSED', /no token server/))
    assert.equal(sent.length, 0)
    assert.equal((await ask('https://auth.example/token')).token, 't')
  })
})
