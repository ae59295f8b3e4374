import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { runNixery } from '../support/command.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'
import { pullImage } from './puller.ts'
import { age, openWorld } from './world.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

it('gc keeps an old image that is being pulled from a server', async () => {
  const world = await openWorld(workspace, join(workspace.folder, 'data'), '')
  const env = world.environment({ maxLayers: '94', compression: 'none', demo: false })
  const first = await workspace.serve(env)
  const image = await pullImage(first.address, 'base0')
  await pullImage(first.address, 'base1')
  await first.stop()
  await age(world, 3)

  const server = await workspace.serve(env)
  assert.deepEqual(await pullImage(server.address, 'base0'), image)
  const collected = await runNixery(world.data, world.packages, ['gc', '--keep', '1'], { env })
  assert.match(collected.stderr, /^1 image and \d+ blobs removed/m)
  for (const digest of image.blobs) {
    const { status } = await fetch(`http://${server.address}/v2/base0/blobs/${digest}`, { method: 'HEAD' })
    assert.equal(status, 200)
  }
})
