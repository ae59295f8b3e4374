import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { execa } from 'execa'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { ServerProcess } from '../scripts/server.ts'
import { auditEvents, type AuditEvent } from './support/audit.ts'
import { launcher } from './support/command.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('API keys and tokens of issuers', () => {
  let workspace: Workspace
  let server: ServerProcess
  let audit: string
  let environment: Record<string, string>
  let pair: Awaited<ReturnType<typeof generateKeyPair>>

  before(async () => {
    workspace = await openWorkspace()
    const inFolder = (name: string) => join(workspace.folder, name)
    audit = inFolder('audit.log')
    pair = await generateKeyPair('RS256')
    await writeFile(inFolder('keys.json'), JSON.stringify({ keys: [await exportJWK(pair.publicKey)] }))
    await writeFile(
      inFolder('policy.toml'),
      `[[rule]]\nwho = ["user:*", "issuer:ci"]\nmay = ["pull", "build"]\n[[issuer]]\nname = "ci"\nurl = "https://ci.example"\njwks = "${inFolder('keys.json')}"\naudience = "nixery"\n`,
    )
    await writeFile(inFolder('users'), `alice:${hashSync('right', 4)}\n`)
    environment = {
      NIXERY_PKGS_PATH: await workspace.packageSet('a = script "a" "echo a"; b = script "b" "echo b";'),
      NIXERY_DATA: inFolder('data'),
      NIXERY_HOST: '127.0.0.1',
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_POLICY: inFolder('policy.toml'),
      NIXERY_AUDIT_LOG: audit,
    }
    server = await workspace.serve(environment)
  })
  after(() => workspace.dispose())

  const get = async (path: string, headers: Record<string, string>) =>
    (await fetch(`http://${server.address}${path}`, { headers })).status
  const key = async (...args: readonly string[]) => {
    const { stdout } = await execa(launcher, ['key', ...args, '--json'], { env: environment })
    return JSON.parse(stdout) as { readonly id: string; readonly key: string; readonly state: string }
  }
  const tokenOf = (seconds: number) =>
    new SignJWT({ iss: 'https://ci.example', aud: 'nixery', sub: 'repo:o/r' })
      .setProtectedHeader({ alg: 'RS256' })
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(pair.privateKey)
  /** Waits for an event of the audit log with these properties. */
  const untilAudited = (expected: Readonly<Record<string, unknown>>): Promise<void> => {
    const isExpected = (event: AuditEvent) =>
      Object.entries(expected).every(([name, value]) => event[name] === value)
    return until(async () => (await auditEvents(audit)).some(isExpected), JSON.stringify(expected))
  }

  it('a key is a password and a bearer token until it is revoked, on a running server', async () => {
    const created = await key('create', '--name', 'robot', '--groups', 'dev', '--expires', '1h')
    assert.match(created.key, /^nxk_/)
    assert.equal(await get('/v2/a/manifests/latest', basic('anyone', created.key)), 200)
    assert.equal(await get('/v2/', bearer(created.key)), 200)
    assert.equal(await get('/v2/', basic('anyone', `${created.key.slice(0, -3)}AAA`)), 401)
    assert.equal((await key('revoke', created.id)).state, 'revoked')
    assert.equal(await get('/v2/', basic('anyone', created.key)), 401)
    const { stdout } = await execa(launcher, ['key', 'list'], { env: environment })
    assert.match(stdout, /robot {2}dev .* revoked/)
    const { secret } = /_(?<secret>[\w-]{43})$/.exec(created.key)?.groups ?? {}
    assert.ok(secret)
    await untilAudited({ event: 'key', what: 'created', user: 'robot' })
    await untilAudited({ event: 'login', user: 'robot', how: 'key' })
    await untilAudited({ event: 'build', user: 'robot', image: 'a' })
    await untilAudited({ event: 'key', what: 'revoked', key: created.id })
    await untilAudited({ event: 'refused', reason: `the API key ${created.id} (robot) is revoked` })
    for (const text of [await readFile(audit, 'utf8'), JSON.stringify(server.log), stdout]) {
      assert.ok(!text.includes(secret))
    }
  })

  it('a token is a password and a bearer token until it expires', async () => {
    assert.equal(await get('/v2/b/manifests/latest', basic('token', await tokenOf(300))), 200)
    assert.equal(await get('/v2/', bearer(await tokenOf(300))), 200)
    assert.equal(await get('/v2/', basic('token', await tokenOf(-300))), 401)
    assert.equal(
      await get('/v2/', bearer('eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2NpLmV4YW1wbGUifQ.')),
      401,
    )
    assert.equal(await get('/v2/', basic('alice', 'right')), 200)
    await untilAudited({ event: 'build', user: 'ci:repo:o/r', how: 'oidc', issuer: 'ci' })
    await untilAudited({ event: 'refused', reason: 'a token of ci: it has expired' })
  })

  it('invalid commands report the error', async () => {
    for (const [args, message] of [
      [['create', '--name', 'a:b'], /is not a valid name for a key/],
      [['create', '--name', 'a', '--expires', 'soon'], /is not a valid duration/],
      [['revoke', 'nothing'], /there is no key nothing/],
    ] as const) {
      const { exitCode, stderr } = await execa(launcher, ['key', ...args], {
        env: environment,
        reject: false,
      })
      assert.equal(exitCode, 2)
      assert.match(stderr, message)
    }
  })
})
