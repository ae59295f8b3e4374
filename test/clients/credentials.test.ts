import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { ServerProcess } from '../../scripts/server.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { makeApiKey } from '../../src/credentials/api-key.ts'
import { allPrograms, attempt, type Programs, type Ran } from '../support/clients/client.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

/** Pulls an image with a name and a password, or with neither, into a new folder. */
type Pull = (programs: Programs, image: string, login: string | undefined, folder: string) => Promise<Ran>

const creds = (login: string | undefined) => (login === undefined ? [] : ['--creds', login])
/** A folder with a configuration of docker, which crane and oras read. */
async function dockerConfig(image: string, login: string | undefined, folder: string) {
  await mkdir(folder, { recursive: true })
  const auth = login === undefined ? {} : { [image.split('/')[0] ?? '']: { auth: btoa(login) } }
  await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: auth }))
  return { DOCKER_CONFIG: folder, HOME: folder }
}

const clients: Readonly<Record<string, Pull>> = {
  skopeo: (programs, image, login, folder) =>
    attempt(
      programs,
      'skopeo',
      [
        'copy',
        '--src-tls-verify=false',
        ...(login === undefined ? ['--src-no-creds'] : ['--src-creds', login]),
        `docker://${image}`,
        `dir:${folder}`,
      ],
      { HOME: folder },
    ),
  podman: (programs, image, login, folder) =>
    attempt(
      programs,
      'podman',
      [
        '--root',
        join(folder, 'root'),
        '--runroot',
        join(folder, 'run'),
        '--storage-driver',
        'vfs',
        '--cgroup-manager',
        'cgroupfs',
        'pull',
        '--quiet',
        '--tls-verify=false',
        ...creds(login),
        image,
      ],
      { HOME: folder },
    ),
  buildah: (programs, image, login, folder) =>
    attempt(
      programs,
      'buildah',
      [
        '--root',
        join(folder, 'root'),
        '--runroot',
        join(folder, 'run'),
        '--storage-driver',
        'vfs',
        'pull',
        '--quiet',
        '--tls-verify=false',
        ...creds(login),
        image,
      ],
      { HOME: folder },
    ),
  crane: async (programs, image, login, folder) =>
    attempt(
      programs,
      'crane',
      ['pull', '--format=oci', image, join(folder, 'layout')],
      await dockerConfig(image, login, folder),
    ),
  oras: async (programs, image, login, folder) =>
    attempt(
      programs,
      'oras',
      [
        'copy',
        '--from-plain-http',
        '--no-tty',
        `${image}:latest`,
        '--to-oci-layout',
        `${join(folder, 'layout')}:a`,
      ],
      await dockerConfig(image, login, folder),
    ),
}

// `npm run clients` tries all; other runs try these.
const always: ReadonlySet<string> = new Set(['nothing', 'the right password', 'a revoked key'])
const all = process.env['NIXERY_CLIENTS'] === 'all'

// Everyone may pull `bb`; `aa` is for those who have proved who they are.
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
    const [system, sid] = found
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
      for (const [name, pull] of Object.entries(clients)) {
        const programs = name === 'crane' || name === 'oras' ? sid : system
        const skip = programs === undefined || 'missing' in programs ? 'not to be had here' : false
        it(`${name} pulls with credentials that are good, and with no others`, { skip }, async () => {
          if (programs === undefined || 'missing' in programs) return
          for (const [index, [what, { login, ok }]] of Object.entries(logins).entries()) {
            if (!all && !always.has(what)) continue
            const folder = join(workspace.folder, `${name}-${index}`)
            await mkdir(folder)
            const ran = await pull(programs, `${server.address}/aa`, login, folder)
            assert.equal(ran.ok, ok, `${what}: ${ran.output}`)
            if (login === undefined && mode === 'token') {
              await mkdir(`${folder}-public`)
              const open = await pull(programs, `${server.address}/bb`, login, `${folder}-public`)
              assert.equal(open.ok, true, `${what}, of what everyone may pull: ${open.output}`)
            }
            if (!ok)
              assert.match(
                ran.output,
                /unauthori[sz]ed|authentication required|credential not found|not valid|401/i,
                what,
              )
          }
        })
      }
    })
  })
}
