import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import type { ServerProcess } from '../scripts/server.ts'
import { openSqliteCatalog } from '../src/catalog/sqlite.ts'
import { makeApiKey } from '../src/credentials/api-key.ts'
import { auditEvents } from './support/audit.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

// Each invalid input must get the right response and exactly one line in the audit log.

const basic = (name: string, password: string) => `Basic ${btoa(`${name}:${password}`)}`
const bearer = (token: string) => `Bearer ${token}`
const url = 'https://ci.example'

describe('invalid credentials', () => {
  let workspace: Workspace
  let server: ServerProcess
  let keys: Server
  let keysAre: 'available' | 'down' = 'available'
  let pair: Awaited<ReturnType<typeof generateKeyPair>>
  const inFolder = (name: string) => join(workspace.folder, name)
  const now = () => Math.floor(Date.now() / 1000)

  before(async () => {
    workspace = await openWorkspace()
    pair = await generateKeyPair('RS256', { extractable: true })
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one' }] })
    keys = createServer((_, response) => {
      response.writeHead(keysAre === 'available' ? 200 : 503).end(jwks)
    })
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(keys.address() as AddressInfo).port}`
    const issuer = (name: string, issuerUrl: string, jwksUrl: string) =>
      `[[issuer]]\nname = "${name}"\nurl = "${issuerUrl}"\njwks = "${jwksUrl}"\naudience = "nixery"\n`
    await writeFile(
      inFolder('policy.toml'),
      `[[rule]]\nwho = ["user:*", "issuer:ci", "issuer:gone"]\nmay = ["pull", "build"]\n` +
        issuer('ci', url, address) +
        issuer('gone', 'https://gone.example', 'http://127.0.0.1:9/'),
    )
    await writeFile(inFolder('users'), `alice:${hashSync('right', 4)}\nslow:${hashSync('right', 10)}\n`)
    server = await workspace.serve({
      NIXERY_DATA: inFolder('data'),
      NIXERY_PKGS_PATH: await workspace.packageSet('a = script "a" "echo a";'),
      NIXERY_AUTH: 'token',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_POLICY: inFolder('policy.toml'),
      NIXERY_AUDIT_LOG: inFolder('audit.log'),
    })
  })
  after(async () => {
    keys.close()
    await workspace.dispose()
  })

  const tokenOf = (claims: Record<string, unknown> = {}, kid = 'one') =>
    new SignJWT({ iss: url, aud: 'nixery', sub: 's', exp: now() + 300, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid })
      .sign(pair.privateKey)

  /** The lines of the audit log for a request. */
  const linesOf = async (id: string) =>
    (await auditEvents(inFolder('audit.log'))).filter((event) => event['request'] === id)

  /** Sends Authorization headers verbatim, and waits for the request's line in the audit log. */
  async function send(path: string, ...authorizations: readonly string[]) {
    const headers = ['Host', server.address, ...authorizations.flatMap((each) => ['Authorization', each])]
    const { status, id } = await new Promise<{ status: number | undefined; id: string }>(
      (resolve, reject) => {
        request(`http://${server.address}${path}`, { headers }, (response) => {
          response.resume()
          resolve({ status: response.statusCode, id: String(response.headers['x-request-id']) })
        })
          .on('error', reject)
          .end()
      },
    )
    await until(async () => (await linesOf(id)).length > 0, `a line for ${path}`)
    const [line, ...more] = await linesOf(id)
    assert.deepEqual(more, [])
    return { status, event: line?.event, reason: line?.reason ?? '' }
  }
  async function assertRefused(
    what: string,
    status: number,
    reason: RegExp,
    ...authorizations: readonly string[]
  ) {
    for (const path of ['/v2/a/manifests/latest', '/token?scope=repository:a:pull']) {
      const result = await send(path, ...authorizations)
      assert.equal(result.event, 'refused', `${what}, ${path}`)
      assert.equal(result.status, status, `${what}, ${path}`)
      assert.match(result.reason, reason, `${what}, ${path}`)
    }
  }

  it('grant nothing: wrong passwords, unknown users, and unknown, expired or revoked API keys', async () => {
    const catalog = await openSqliteCatalog(join(inFolder('data'), 'catalog.db'))
    const keyOf = async (expiresAt: number, isRevoked: boolean) => {
      const { key, id, hash } = makeApiKey()
      await catalog.apiKeys.add({ id, name: 'ci', hash, groups: [], createdAt: now() - 9, expiresAt })
      if (isRevoked) await catalog.apiKeys.revoke(id, now())
      return key
    }
    const expired = await keyOf(now() - 1, false)
    const revoked = await keyOf(now() + 900, true)
    await catalog.close()
    await assertRefused('a wrong password', 401, /^wrong password$/, basic('alice', 'wrong'))
    await assertRefused('an unknown user', 401, /^unknown user$/, basic('mallory', 'right'))
    await assertRefused('a large password', 401, /^wrong password$/, basic('alice', 'x'.repeat(5_000)))
    await assertRefused('an unknown key', 401, /is not known/, bearer(makeApiKey().key))
    await assertRefused('an expired key', 401, /is expired/, basic('x', expired))
    await assertRefused('a revoked key', 401, /is revoked/, bearer(revoked))
  })

  it('keep nobody else from logging in, however many wrong passwords one address sends', async () => {
    for (const path of ['/v2/', '/token']) {
      const login = async (password: string, from: string) => {
        const headers = { authorization: basic('slow', password), 'x-forwarded-for': from }
        return (await fetch(`http://${server.address}${path}`, { headers })).status
      }
      const wrong = Array.from({ length: 80 }, (_, n) => login(`${path} ${n}`, '192.0.2.1'))
      assert.equal(await login('right', '192.0.2.2'), 200)
      assert.deepEqual(new Set(await Promise.all(wrong)), new Set([401, 429]))
    }
  })

  it('grant nothing: malformed or repeated headers', async () => {
    for (const header of [
      'Basic not*base64',
      'Basic YQ==',
      'Digest username="a"',
      'Bearer',
      'Bearer a b',
      'x',
    ])
      await assertRefused(header, 401, /not valid/, header)
    const good = basic('alice', 'right')
    await assertRefused('two headers', 400, /at most one Authorization header/, good, good)
    await assertRefused('two headers', 400, /at most one/, basic('alice', 'wrong'), good)
  })

  it('grant nothing: tokens that are expired, foreign, forged, oversized or of an unknown key', async () => {
    const good = await tokenOf()
    const confused = await new SignJWT({ iss: url, aud: 'nixery', sub: 's', exp: now() + 300 })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(Buffer.from(await exportSPKI(pair.publicKey)))
    const none = new UnsecuredJWT({ iss: url, aud: 'nixery', sub: 's', exp: now() + 300 }).encode()
    await assertRefused('expired', 401, /expired/, bearer(await tokenOf({ exp: now() - 90 })))
    await assertRefused('not valid yet', 401, /nbf/, bearer(await tokenOf({ nbf: now() + 90 })))
    await assertRefused('another audience', 401, /aud/, bearer(await tokenOf({ aud: 'other' })))
    await assertRefused('another issuer', 401, /./, bearer(await tokenOf({ iss: 'https://other.example' })))
    await assertRefused('alg none', 401, /alg/i, bearer(none))
    await assertRefused('a public key as a secret', 401, /alg/i, bearer(confused))
    await assertRefused('another signature', 401, /signature/, bearer(`${good.slice(0, -9)}AAAAAAAAA`))
    await assertRefused('an unknown kid', 401, /key is not known/, bearer(await tokenOf({}, 'two')))
    await assertRefused('no token', 401, /./, bearer('x.y.z'))
    await assertRefused('oversized', 401, /more than 16384/, bearer(await tokenOf({ x: 'x'.repeat(15_000) })))
  })

  it('are valid if a clock is off by less than a minute', async () => {
    for (const claims of [{ exp: now() - 20 }, { nbf: now() + 40 }, { iat: now() + 40 }]) {
      const response = await fetch(`http://${server.address}/v2/`, {
        headers: { authorization: bearer(await tokenOf(claims)) },
      })
      assert.equal(response.status, 200)
    }
  })

  it('are checked with cached keys while the issuer is down, without waiting', async () => {
    keysAre = 'down'
    const get = async (token: string) =>
      (await fetch(`http://${server.address}/v2/`, { headers: { authorization: bearer(token) } })).status
    assert.equal(await get(await tokenOf({ sub: 'another' })), 200)
    await assertRefused('an unknown kid', 401, /key is not known/, bearer(await tokenOf({}, 'three')))
    // Without any keys of an issuer, its tokens can be neither accepted nor rejected.
    const gone = bearer(await tokenOf({ iss: 'https://gone.example' }))
    await assertRefused('no keys', 503, /ECONNREFUSED/, gone)
  })
})
