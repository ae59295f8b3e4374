import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { NixeryError } from '../errors.ts'
import type { Credentials } from './credentials.ts'
import type { PushImage } from './push.ts'
import { failsWith, imageOf, pushTo, type More } from './push-testing.ts'
import { openDouble, type Double } from './testing.ts'
import { requestToken } from './tokens.ts'
import type { Request } from './transport.ts'

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
afterEach(() => {
  double.reset()
  other.reset()
})

const push = (image: PushImage, repository: string, more: More = {}) =>
  pushTo(double.host, image, repository, more)
const uploads = (from: Double) => from.seen.filter(({ method }) => method === 'PUT')

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

  it('are never sent to another host, neither with an upload nor after a redirect', async () => {
    double.demand = { accepts: (given) => given === basic, challenge: 'Basic realm="x"' }
    const image = imageOf(10)
    // The first registry opens the session; the second accepts everything and records it.
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

  it('are not sent to URLs other than HTTP: such a redirect is refused', async () => {
    for (const location of ['file:///etc/passwd', 'ftp://a.example/', 'data:,x', 'javascript:1']) {
      double.mischief = ({ method }, response) =>
        method === 'PUT' && !!response.writeHead(307, { Location: location }).end()
      await assert.rejects(push(imageOf(10), 's'), failsWith('REGISTRY_REFUSED', /not http or https/))
      double.mischief = (_, response) => !!response.writeHead(302, { Location: location }).end()
      await assert.rejects(push(imageOf(10), 's'), failsWith('REGISTRY_REFUSED', /not say|refused/))
    }
  })

  /** Makes the other double a token server whose tokens are valid for a number of requests. */
  const tokenServer = (uses: number) => {
    const requested: { scopes: string[]; account: string | null; authorization: string | undefined }[] = []
    const left = new Map<string | undefined, number>()
    other.mischief = ({ url, headers, method }, response) => {
      const query = new URL(url ?? '', 'http://x').searchParams
      if (method !== 'GET') return undefined
      requested.push({
        scopes: query.getAll('scope'),
        account: query.get('account'),
        authorization: headers.authorization,
      })
      left.set(`Bearer t${requested.length}`, uses)
      return !!response.end(JSON.stringify({ token: `t${requested.length}`, expires_in: 300 }))
    }
    const accepts = (given: string | undefined) => {
      left.set(given, (left.get(given) ?? 0) - 1)
      return (left.get(given) ?? 0) >= 0
    }
    const challenge = `Bearer realm="http://${other.host}/token",service="s",scope="repository:x:wide"`
    double.demand = { accepts, challenge }
    return requested
  }

  it('are exchanged for a token for Bearer, and for a new one after it has expired', async () => {
    const requested = tokenServer(4)
    await push(imageOf(10, 20, 30), 'o', { credentials: password })
    assert.deepEqual(requested[0], {
      scopes: ['repository:o:pull,push'],
      account: 'user',
      authorization: basic,
    })
    assert.ok(requested.length > 2, `${requested.length} tokens`)
    assert.deepEqual(requested[1]?.scopes, ['repository:o:pull,push', 'repository:x:wide'])
  })

  it('request a scope for the repository to mount from', async () => {
    const requested = tokenServer(1000)
    await push(imageOf(10), 'p', { mountFrom: 'o' })
    assert.deepEqual(requested[0]?.authorization, undefined)
    assert.ok(requested.some(({ scopes }) => scopes.includes('repository:o:pull')))
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

  it('are refused with the token server’s message', async () => {
    other.mischief = (_, response) =>
      !!response.writeHead(401).end('{"errors":[{"code":"DENIED","message":"who are you"}]}')
    double.demand = {
      accepts: () => false,
      challenge: `Bearer realm="http://${other.host}/token"`,
    }
    await assert.rejects(
      push(imageOf(10), 'r', { credentials: password }),
      failsWith('REGISTRY_REFUSED', /^the token server \S+ responded with 401: DENIED: who are you/),
    )
  })

  it('are not sent unencrypted, even if the registry requests it', async () => {
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
    for (const realm of [
      'http://auth.example/token',
      'http://127.0.0.1:8080/token',
      'http://[::1]/',
      'http://x.localhost/',
    ])
      await assert.rejects(ask(realm), failsWith('REGISTRY_REFUSED', /unencrypted/), realm)
    await assert.rejects(
      ask('ftp://auth.example/'),
      failsWith('REGISTRY_REFUSED', /no valid URL of a token server/),
    )
    assert.equal(sent.length, 0)
    assert.equal((await ask('https://auth.example/token')).token, 't')
  })
})
