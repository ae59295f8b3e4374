import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const root = join(import.meta.dirname, '..')

describe('a server with a package set configured', () => {
  let workspace: Workspace
  before(async () => {
    workspace = await openWorkspace()
  })
  after(() => workspace.dispose())

  it('loads neither the demo packages nor bucket clients', async () => {
    const list = join(workspace.folder, 'modules')
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: await workspace.packageSet('hello = script "hello" "true";'),
      NODE_OPTIONS: `--import=${join(import.meta.dirname, 'support/list-modules.ts')}`,
      MODULES_FILE: list,
    })
    const { response, text } = await requestV2(server, 'hello/manifests/latest')
    assert.equal(response.status, 200, text)

    const urles = (await readFile(list, 'utf8')).trimEnd().split('\n')
    const files = urles
      .filter((url) => url.startsWith('file:'))
      .map((url) => fileURLToPath(url).slice(root.length + 1))
    for (const part of ['src/main.ts', 'src/sources.ts', 'src/packages/path.ts']) {
      assert.ok(files.includes(part), `${part} is not in the list`)
    }
    const lazy = /^demo\/|^node_modules\/@(aws-sdk|google-cloud)\//
    assert.deepEqual(
      files.filter((file) => lazy.test(file)),
      [],
    )
  })
})
