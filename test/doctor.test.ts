import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Options } from 'execa'
import { runNixery } from './support/command.ts'
import { freePort } from './support/ports.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

type Finding = { about: string; state: string; message: string; fix?: string }

let workspace: Workspace
let set: string
before(async () => {
  workspace = await openWorkspace()
  set = await workspace.packageSet('fine = script "fine" "true";')
})
after(() => workspace.dispose())

async function doctor(env: Options['env'] = {}) {
  const data = join(workspace.folder, 'data')
  // Another program may use the default port.
  const port = String(await freePort())
  const run = await runNixery(data, set, ['doctor', '--json'], { env: { PORT: port, ...env } })
  const findings = JSON.parse(run.stdout) as Finding[]
  return { run, findings, about: (what: string) => findings.filter(({ about }) => about === what) }
}

describe('nixery doctor', () => {
  it('builds a derivation, and leaves no folders behind', async () => {
    const { run, findings, about } = await doctor()
    assert.equal(run.exitCode, 0, run.stderr)
    assert.ok(about('nix').some(({ message }) => message === 'Nix builds'))
    assert.deepEqual(
      findings.filter(({ state }) => state === 'problem'),
      [],
    )
    assert.ok(!(await readdir(workspace.folder)).includes('data'))
  })

  it('reports invalid recipes of the package set and of folders', async () => {
    const broken = await workspace.packageSet(`
      fine = script "fine" "true";
      images.good = { packages = [ "fine" ]; };
      images.odd = { packages = [ "fine" ]; entrypiont = [ "fine" ]; };
      images.ill = throw "it is ill";
    `)
    const recipes = join(workspace.folder, 'recipes')
    await mkdir(recipes)
    await writeFile(join(recipes, 'web.toml'), 'packages = ["fine"]\nport = 80\n')
    const { run, about } = await doctor({ NIXERY_PKGS_PATH: broken, NIXERY_RECIPES: recipes })
    assert.equal(run.exitCode, 2)
    const messages = about('recipes').map(({ message, fix }) => `${message} ${fix}`)
    for (const what of [
      /odd.*entrypiont.*correct the package set/s,
      /ill.*it is ill/s,
      /web\.toml:2.*recipe check/s,
    ])
      assert.ok(
        messages.some((text) => what.test(text)),
        `${what}:\n${messages.join('\n')}`,
      )
    assert.equal(messages.length, 3, messages.join('\n'))
  })

  it('checks the binary caches that images come from, and then builds nothing', async () => {
    const cache = join(workspace.folder, 'cache')
    await mkdir(cache)
    await writeFile(join(cache, 'nix-cache-info'), 'StoreDir: /nix/store\n')
    const settings = {
      NIXERY_ORIGIN: 'caches',
      NIXERY_SUBSTITUTERS: `file://${cache} http://127.0.0.1:9/cache s3://bucket`,
      NIX_REMOTE: 'unix:///nonexistent/socket',
    }
    const { run, about } = await doctor(settings)
    assert.equal(run.exitCode, 2)
    assert.match(
      about('nix')
        .map(({ state, message }) => `${state} ${message}`)
        .join('\n'),
      /^ok Nix evaluates/,
    )
    const states = about('caches').map(({ state, message }) => `${state} ${message}`)
    assert.equal(states.length, 3, states.join('\n'))
    assert.match(states[0] ?? '', /^warning s3:\/\/bucket is left to Nix/)
    assert.deepEqual(
      states.slice(1).toSorted((a, b) => a.length - b.length)[0],
      `ok file://${cache} responds`,
    )
    assert.match(
      states.join('\n'),
      /^problem http:\/\/127\.0\.0\.1:9\/cache cannot be queried: .*ECONNREFUSED/m,
    )
  })

  it('reports problems with their fixes', async () => {
    const other = createServer((socket) => void socket.on('error', () => {}).end('not HTTP')).listen(
      0,
      '127.0.0.1',
    )
    await once(other, 'listening')
    const address = other.address()
    assert.ok(typeof address === 'object' && address)
    const { run, about } = await doctor({
      NIX_REMOTE: 'unix:///nonexistent/socket',
      NIXERY_PKGS_PATH: '/nonexistent',
      NIX_POPULARITY_URL: 'http://127.0.0.1:9/popularity.json',
      NIXERY_HOST: '127.0.0.1',
      PORT: String(address.port),
      STORAGE_PATH: '/dev/null',
    })
    other.close()
    assert.equal(run.exitCode, 2)
    assert.match(run.stderr, /5 problems/)
    const rows: [about: string, message: RegExp, fix: RegExp][] = [
      ['nix', /cannot connect to socket/, /systemctl enable --now nix-daemon\.socket/],
      ['packages', /\/nonexistent: there is no package set/, /NIXERY_PKGS_PATH/],
      ['network', /127\.0\.0\.1:9 \(NIX_POPULARITY_URL\).*ECONNREFUSED/, /correct NIX_POPULARITY_URL/],
      ['storage', /ENOTDIR|not a folder|folder \/dev\/null/, /chown|STORAGE_PATH/],
      ['server', /is used by another program/, /set PORT/],
    ]
    for (const [what, message, fix] of rows) {
      const problem = about(what).find(({ state }) => state === 'problem')
      assert.match(problem?.message ?? '', message)
      assert.match(problem?.fix ?? '', fix)
    }
  })
})
