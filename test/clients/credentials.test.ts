import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { ServerProcess } from '../../scripts/server.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { makeApiKey } from '../../src/credentials/api-key.ts'
import { allPrograms, releasesToTest } from '../support/clients/client.ts'
import { pullers, type Puller, type PullerKind } from '../support/clients/pulls.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

// `npm run clients` tests all credentials; other runs only these.
const always: ReadonlySet<string> = new Set(['nothing', 'the right password', 'a revoked key'])
const all = process.env['NIXERY_CLIENTS'] === 'all'

// Everyone may pull `bb`; only authenticated clients may pull `aa`.
const policy = (keys: string) => `
[[issuer]]
name = "ci"
url = "https://ci.example"
jwks = "${keys}"
audience = "nixery"
[[rule]]
who = ["user:*", "issuer:ci"]
may = ["pull", "build"]

[[rule]]
who = ["everyone"]
may = ["pull", "build"]
packages = ["bb"]
`

for (const mode of ['basic', 'token'] as const) describeMode(mode)

function describeMode(mode: 'basic' | 'token'): void {
  describe(`with NIXERY_AUTH=${mode},`, async () => {
    const found = await allPrograms()
    let workspace: Workspace
    let server: ServerProcess
    const logins: Record<string, { readonly login: string | undefined; readonly ok: boolean }> = {}

    before(async () => {
      workspace = await openWorkspace()
      const inFolder = (name: string) => join(workspace.folder, name)
      const pair = await generateKeyPair('RS256')
      await writeFile(inFolder('keys.json'), JSON.stringify({ keys: [await exportJWK(pair.publicKey)] }))
      await writeFile(inFolder('policy.toml'), policy(inFolder('keys.json')))
      await writeFile(inFolder('users'), `alice:${hashSync('right', 4)}\n`)
      const now = Math.floor(Date.now() / 1000)
      const catalog = await openSqliteCatalog(join(inFolder('data'), 'catalog.db'))
      const keyOf = async (expiresAt: number, isRevoked = false) => {
        const { key, id, hash } = makeApiKey()
        await catalog.apiKeys.add({ id, name: 'ci', hash, groups: [], createdAt: now, expiresAt })
        if (isRevoked) await catalog.apiKeys.revoke(id, now)
        return `key:${key}`
      }
      const tokenOf = async (seconds: number) => {
        const token = new SignJWT({ iss: 'https://ci.example', aud: 'nixery', sub: 's', exp: now + seconds })
        return `token:${await token.setProtectedHeader({ alg: 'RS256' }).sign(pair.privateKey)}`
      }
      Object.assign(logins, {
        nothing: { login: undefined, ok: false },
        'the right password': { login: 'alice:right', ok: true },
        'a wrong password': { login: 'alice:wrong', ok: false },
        'an unknown user': { login: 'mallory:right', ok: false },
        'a key': { login: await keyOf(now + 900), ok: true },
        'an expired key': { login: await keyOf(now - 1), ok: false },
        'a revoked key': { login: await keyOf(now + 900, true), ok: false },
        'a token': { login: await tokenOf(900), ok: true },
        'an expired token': { login: await tokenOf(-900), ok: false },
      })
      await catalog.close()
      server = await workspace.serve({
        NIXERY_PKGS_PATH: await workspace.packageSet('aa = script "aa" "echo a"; bb = script "bb" "echo b";'),
        NIXERY_DATA: inFolder('data'),
        NIXERY_AUTH: mode,
        NIXERY_HTPASSWD: inFolder('users'),
        NIXERY_POLICY: inFolder('policy.toml'),
      })
    })
    after(() => workspace.dispose())

    describe('', { concurrency: true }, () => {
      for (const [name, kind] of Object.entries(pullers)) {
        for (const programs of releasesToTest(found, kind.installed)) {
          const title = `${name}${programs.suite === 'sid' && kind.installed ? ' of sid' : ''}`
          const skip = 'missing' in programs ? programs.missing : false
          it(`${title} pulls with valid credentials only`, { skip }, async () => {
            if ('missing' in programs) return
            const home = join(workspace.folder, `${name}-${programs.suite}`)
            const client = await kind.open(programs, join(home, 'home'))
            try {
              await tryAll(client, kind, home)
            } finally {
              await client.dispose()
            }
          })
        }
      }
    })

    async function tryAll(client: Puller, { openWithBasic }: PullerKind, home: string): Promise<void> {
      for (const [index, [what, { login, ok }]] of Object.entries(logins).entries()) {
        if (!all && !always.has(what)) continue
        const pull = async (image: string, folder: string) => {
          await mkdir(folder, { recursive: true })
          return client.pull(`${server.address}/${image}`, login, folder)
        }
        const ran = await pull('aa', join(home, `${index}`))
        assert.equal(ran.ok, ok, `${what}: ${ran.output}`)
        if (!ok) assert.match(ran.output, refusal, what)
        // Public images need no credentials. Most clients fail with invalid ones, because they log in first.
        if (!all && login !== undefined) continue
        const open = await pull('bb', join(home, `${index}-public`))
        const isOpen =
          mode === 'basic' && (login !== undefined || openWithBasic === 'never')
            ? openWithBasic === 'always'
            : login === undefined
        assert.equal(open.ok, ok || isOpen, `${what}, public image: ${open.output}`)
      }
    }
  })
}

const refusal =
  /unauthori[sz]ed|authentication required|authorization failed|no basic auth credentials|credential not found|not valid|401/i
