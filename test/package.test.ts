import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { startServer } from '../scripts/server.ts'
import { ask, openWorkspace, type Workspace } from './support/workspace.ts'

// What `npm run pack` makes, installed in an empty folder by the system's own Node and npm.

const root = join(import.meta.dirname, '..')

describe('the npm package', { timeout: 300_000 }, () => {
  let workspace: Workspace
  let folder: string
  before(async () => {
    workspace = await openWorkspace()
    folder = join(workspace.folder, 'empty')
    await mkdir(folder)
  })
  after(() => workspace.dispose())

  it('holds JavaScript, and no tests', async () => {
    await rm(join(root, 'dist'), { recursive: true, force: true })
    const args = ['run', '--silent', 'pack', '--', '--json', '--pack-destination', workspace.folder]
    const packed = await execa('npm', args, { cwd: root })
    const [made] = JSON.parse(packed.stdout) as { files: { path: string }[] }[]
    const paths = made?.files.map(({ path }) => path) ?? []
    for (const path of ['bin/nixery', 'dist/src/cli/main.js', 'dist/src/nix/lookup.nix', 'README.md']) {
      assert.ok(paths.includes(path), path)
    }
    assert.deepEqual(
      paths.filter((path) => /\.ts$|\.test\.|testing\.js$|onformance\.js$|^src\//.test(path)),
      [],
    )
  })

  it('is installed, and serves', async () => {
    const archive = join(workspace.folder, 'nixery-0.1.0.tgz')
    const npm = { cwd: folder, env: { npm_config_update_notifier: 'false' } }
    await execa('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', archive], npm)
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    const printed = await execa('npx', ['--no-install', 'nixery', 'config'], npm)
    assert.match(printed.stdout, /^NIX_TIMEOUT +60 +default$/m)
    const environment = {
      NIXERY_PKGS_PATH: set,
      NIXERY_DATA: join(workspace.folder, 'data'),
      STORAGE_PATH: '',
    }
    const server = await startServer(environment, join(folder, 'node_modules/.bin/nixery'))
    try {
      const { response, text } = await ask(server, 'hello/manifests/latest')
      assert.equal(response.status, 200, text)
      const docs = await fetch(`http://${server.address}/docs/configuration`)
      assert.match(await docs.text(), /<h1 id="settings">Settings<\/h1>/)
    } finally {
      assert.equal(await server.stop(), 0)
    }
  })
})
