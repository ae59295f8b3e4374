import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT, type JWK } from 'jose'
import { until } from '../../test/support/until.ts'
import { hasCode } from '../errors.ts'
import { createHttpClient } from '../net/http-client.ts'
import type { Issuer } from './issuer.ts'
import { jwtAuthenticator } from './jwt.ts'

type Pair = Awaited<ReturnType<typeof generateKeyPair>>

/** A key server that can be changed, stopped and slowed down. */
async function serveKeys() {
  const state = { keys: [] as JWK[], mode: 'fine' as 'fine' | 'broken' | 'silent' | 'huge', requests: 0 }
  const server = createServer((request, response) => {
    state.requests += 1
    if (state.mode === 'silent') return
    if (state.mode === 'broken') response.statusCode = 500
    const { port } = server.address() as AddressInfo
    const answer = request.url?.includes('.well-known')
      ? { jwks_uri: `http://127.0.0.1:${port}/keys` }
      : { keys: state.keys, padding: state.mode === 'huge' ? 'x'.repeat(1_000_000) : '' }
    response.end(JSON.stringify(answer))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { state, url, close: () => (server.closeAllConnections(), server.close()) }
}

describe('JWTs of issuers', () => {
  const client = createHttpClient()
  const warnings: string[] = []
  const time = 1_800_000_000
  let served: Awaited<ReturnType<typeof serveKeys>>
  let pair: Pair
  let next: Pair
  let issuer: Issuer

  before(async () => {
    served = await serveKeys()
    pair = await generateKeyPair('RS256')
    next = await generateKeyPair('ES256')
    served.state.keys = [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256' }]
    issuer = {
      name: 'gha',
      url: served.url,
      audience: ['nixery'],
      algorithms: ['RS256', 'ES256'],
      groups: 'a.b',
    }
  })
  after(() => {
    served.close()
    client.close()
  })

  const authenticatorOf = (issuers: readonly Issuer[], timing = {}, now = () => time * 1000) =>
    jwtAuthenticator({
      issuers: () => issuers,
      client,
      warn: (line) => void warnings.push(line),
      timing: { pause: 0, ...timing },
      now,
    })
  const tokenOf = (claims: object = {}, { key = pair.privateKey, kid = 'one', alg = 'RS256' } = {}) =>
    new SignJWT({
      iss: served.url,
      aud: 'nixery',
      sub: 'repo:o/r',
      exp: time + 300,
      a: { b: ['dev', 7] },
      ...claims,
    })
      .setProtectedHeader({ alg, kid })
      .sign(key)
  const refusedOf = async (authenticate: ReturnType<typeof authenticatorOf>, token: string) => {
    const outcome = await authenticate({ kind: 'bearer', token })
    assert.ok(outcome && 'refused' in outcome, JSON.stringify(outcome))
    return outcome.refused
  }

  it('are accepted as password and as bearer token, with name and groups from the claims', async () => {
    const authenticate = authenticatorOf([issuer])
    const token = await tokenOf()
    const password = await authenticate({ kind: 'basic', name: 'x', password: token })
    assert.ok(password && 'name' in password)
    assert.deepEqual(
      { ...password, claims: password.claims['sub'] },
      { name: 'gha:repo:o/r', groups: ['dev'], how: 'oidc', issuer: 'gha', claims: 'repo:o/r' },
    )
    assert.equal(authenticate({ kind: 'bearer', token }), password, 'remembered, and returned at once')
    assert.equal(await authenticate({ kind: 'none' }), undefined)
    assert.equal(await authenticate({ kind: 'basic', name: 'x', password: 'open sesame' }), undefined)
  })

  it('tolerate a clock that is off by at most a minute', async () => {
    const authenticate = authenticatorOf([issuer])
    for (const claims of [{ exp: time - 50 }, { nbf: time + 50 }]) {
      const outcome = await authenticate({ kind: 'bearer', token: await tokenOf(claims) })
      assert.ok(outcome && 'name' in outcome, JSON.stringify(claims))
    }
    assert.match(await refusedOf(authenticate, await tokenOf({ exp: time - 70 })), /expired/)
    assert.match(await refusedOf(authenticate, await tokenOf({ nbf: time + 70 })), /nbf/)
  })

  it('are rejected if they are forged, from other issuers, unsuitable or too large', async () => {
    const authenticate = authenticatorOf([issuer])
    const good = await tokenOf()
    const secret = new TextEncoder().encode(await exportSPKI(pair.publicKey))
    const claims = { iss: served.url, aud: 'nixery', sub: 's', exp: time + 300 }
    const confused = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'one' }).sign(secret)
    const rows: [what: string, token: string, reason: RegExp][] = [
      ['alg none', new UnsecuredJWT(claims).encode(), /alg/i],
      ['a public key as a shared secret', confused, /alg/i],
      ['another signature', `${good.slice(0, -8)}AAAAAAAA`, /signature/],
      ['a damaged header', good.slice(20), /Header/],
      ['another audience', await tokenOf({ aud: 'other' }), /aud/],
      ['no audience', await tokenOf({ aud: undefined }), /aud/],
      ['no expiry', await tokenOf({ exp: undefined }), /exp/],
      ['no subject', await tokenOf({ sub: '' }), /subject/],
      ['a large one', await tokenOf({ x: 'x'.repeat(20_000) }), /more than 16384/],
      [
        'the key of another issuer',
        await tokenOf({}, { key: (await generateKeyPair('RS256')).privateKey }),
        /signature/,
      ],
    ]
    for (const [what, token, reason] of rows) assert.match(await refusedOf(authenticate, token), reason, what)
    const foreign = await tokenOf({ iss: 'https://example.org' })
    for (const other of [foreign, 'a.b.c', `${btoa('{}')}..`]) {
      assert.equal(await authenticate({ kind: 'bearer', token: other }), undefined)
    }
    const narrow = authenticatorOf([{ ...issuer, algorithms: ['ES256'] }])
    assert.match(await refusedOf(narrow, good), /alg/i)
  })

  it('with a new key are verified after one fetch, which tokens share and strangers cannot repeat', async () => {
    const authenticate = authenticatorOf([issuer], { pause: 60_000 })
    const slow = authenticatorOf([issuer])
    await authenticate({ kind: 'bearer', token: await tokenOf() })
    await slow({ kind: 'bearer', token: await tokenOf() })
    const requests = served.state.requests
    for (let n = 0; n < 20; n++)
      assert.match(await refusedOf(authenticate, await tokenOf({ n }, { kid: 'two' })), /key is not known/)
    assert.equal(served.state.requests, requests, 'a minute has not passed')
    const es256 = { key: next.privateKey, kid: 'two', alg: 'ES256' }
    served.state.keys = [
      ...served.state.keys,
      { ...(await exportJWK(next.publicKey)), kid: 'two', alg: 'ES256' },
    ]
    const many = await Promise.all(
      Array.from({ length: 10 }, async (_, n) =>
        slow({ kind: 'bearer', token: await tokenOf({ n }, es256) }),
      ),
    )
    assert.ok(many.every((one) => one && 'name' in one))
    assert.equal(served.state.requests, requests + 2, 'discovery and keys')
  })

  it('are verified with the last keys while the key server is down, slow or sends garbage', async () => {
    const timeout = 500
    const authenticate = authenticatorOf([issuer], { timeout, fresh: 0 })
    const first = await tokenOf({ n: 'first' })
    // On a busy machine, the key server may take longer.
    await until(async () => {
      try {
        return Boolean(await authenticate({ kind: 'bearer', token: first }))
      } catch {
        return false
      }
    })
    for (const mode of ['broken', 'silent', 'huge'] as const) {
      served.state.mode = mode
      const outcome = await authenticate({ kind: 'bearer', token: await tokenOf({ mode }) })
      assert.ok(outcome && 'name' in outcome, mode)
      const started = performance.now()
      const fresh = authenticatorOf([issuer], { timeout })
      await assert.rejects(
        async () => fresh({ kind: 'bearer', token: await tokenOf({ mode }) }),
        (error) => hasCode(error, 'SOURCE_UNREACHABLE'),
      )
      assert.ok(performance.now() - started < 30_000)
    }
    served.state.mode = 'fine'
    assert.match(warnings.join('\n'), /cannot fetch the keys of the issuer gha/)
  })

  it('are verified with keys in a file, which is reloaded', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-jwks-'))
    const jwks = join(folder, 'keys.json')
    await writeFile(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one' }] }))
    const ofFile = authenticatorOf([{ ...issuer, jwks }])
    const outcome = await ofFile({ kind: 'bearer', token: await tokenOf() })
    assert.ok(outcome && 'name' in outcome)
    await writeFile(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(next.publicKey)), kid: 'two' }] }))
    const es256 = { key: next.privateKey, kid: 'two', alg: 'ES256' }
    const other = await ofFile({ kind: 'bearer', token: await tokenOf({}, es256) })
    assert.ok(other && 'name' in other)
    await rm(folder, { recursive: true })
  })
})
