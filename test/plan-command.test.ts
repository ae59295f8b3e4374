import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { runNixery } from './support/command.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let demo: string
before(async () => {
  workspace = await openWorkspace()
  demo = await demoPackages()
})
after(() => workspace.dispose())

const nixery = (...args: string[]) => runNixery(join(workspace.folder, 'plan'), demo, args)

describe('nixery plan', () => {
  it('shows the layers before and after they are packed, and packs none', async () => {
    type Plan = {
      paths: number
      narSize: number
      layers: { narSize: number; size?: number; digest?: string; paths: string[] }[]
    }
    const plan = async (...more: string[]) => {
      const run = await nixery('plan', 'shell/hello', ...more)
      assert.equal(run.exitCode, 0, run.stderr)
      return run.stdout
    }
    const unpacked = JSON.parse(await plan('--json')) as Plan
    assert.equal(unpacked.layers.flatMap(({ paths }) => paths).length, unpacked.paths)
    assert.equal(
      unpacked.layers.reduce((sum, { narSize }) => sum + narSize, 0),
      unpacked.narSize,
    )
    assert.ok(unpacked.layers.every(({ size }) => size === undefined))
    assert.deepEqual(await readdir(join(workspace.folder, 'plan/store/layers')), [])

    const { layers } = JSON.parse((await nixery('build', 'shell/hello', '--json')).stdout) as {
      layers: { digest: string }[]
    }
    const packed = JSON.parse(await plan('--json')) as Plan
    assert.deepEqual(
      packed.layers.map(({ digest }) => digest),
      layers.map(({ digest }) => digest),
    )
    const [table = [], compared = [], packages = []] = (await plan())
      .split('\n\n')
      .map((text) => text.split('\n'))
    assert.equal(table.length, layers.length + 2)
    assert.match(table[0] ?? '', /^layer +unpacked +packed +paths +contents$/)
    assert.match(table.join('\n'), /^ +\d+ +[\d.]+ MB +[\d.]+ MB +\d+  .*glibc-/m)
    assert.match(table.at(-2) ?? '', / 0  links to /)
    assert.match(table.at(-1) ?? '', /^ +[\d.]+ MB +[\d.]+ MB +\d+$/)
    assert.match(packages[0] ?? '', /^ *package +version +output +path$/)
    assert.match(packages.join('\n'), /^ +hello +2\.\d+ +out +\/nix\/store\/\w+-hello-2\.\d+$/m)
    assert.equal(compared.length, 3)
    assert.match(compared[0] ?? '', /^strategy +layers +single path +largest +median +to pack$/)
    assert.match(compared[1] ?? '', /^ +stable +\d+ +\d+ +[\d.]+ MB +[\d.]+ kB +0$/)
    assert.match(compared[2] ?? '', /^ +nixery +\d+ +\d+ +[\d.]+ MB +[\d.]+ MB +[1-9]\d* +[\d.]+ MB$/)
  })

  it('shows the layers of another strategy', async () => {
    type Plan = { strategy: string; layers: { paths: string[] }[]; strategies: { strategy: string }[] }
    const { stdout } = await nixery('plan', 'shell/hello', '--strategy', 'nixery', '--json')
    const { strategy, layers, strategies } = JSON.parse(stdout) as Plan
    assert.equal(strategy, 'nixery')
    assert.ok(layers.some(({ paths }) => paths.length > 3))
    assert.deepEqual(
      strategies.map((each) => each.strategy),
      ['nixery', 'stable'],
    )
  })

  it('refuses unknown strategies', async () => {
    assert.equal((await nixery('plan', 'hello', '--strategy', 'best')).exitCode, 2)
  })
})
