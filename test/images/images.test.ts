import assert from 'node:assert/strict'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { openWorkspace, demoPackages, type Workspace } from '../support/workspace.ts'
import { foreign } from './cases/foreign.ts'
import { odd } from './cases/odd.ts'
import { packages } from './cases/packages.ts'
import { system } from './cases/system.ts'
import { systems } from './cases/systems.ts'
import { clientsOf } from './clients.ts'
import { base, buildAndRun, expectedOutput } from './dockerfile.ts'
import { runGroup } from './run.ts'
import { grouped } from './table.ts'

// Runs images in real container runtimes: all cases in podman, and those about every image in docker and containerd.
// `npm run images` runs all cases in all runtimes, including those of Debian sid, and builds with buildah, too.

const cases = [...system, ...packages, ...systems, ...foreign, ...odd]
const all = process.env['NIXERY_IMAGES'] === 'all'
const casesOf = (client: string) => (all || client === 'podman' ? cases : system)

let workspace: Workspace
let server: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  const set = join(workspace.folder, 'odd-set')
  await mkdir(set)
  await copyFile(new URL('odd.nix', import.meta.url), join(set, 'odd.nix'))
  await writeFile(join(set, 'default.nix'), `import ./odd.nix ${await demoPackages()}\n`)
  server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIX_TIMEOUT: '600' })
})
after(() => workspace.dispose())

for (const { name, open, builds, runs } of await clientsOf(all)) {
  describe(name, () => {
    const images = new Set([
      ...(builds ? [base] : []),
      ...(runs ? casesOf(name).map(({ image }) => image) : []),
    ])
    let client: Awaited<ReturnType<typeof open>>
    before(async () => {
      client = await open(join(workspace.folder, name.replaceAll(' ', '-')))
      for (const image of images) {
        const pulled = await client.pull(`${server.address}/${image}`)
        assert.ok(pulled.ok, `${image}: ${pulled.output}`)
      }
    })
    after(() => client.dispose())

    if (builds) {
      it('a Dockerfile copies a program, adds a user and switches to that user', async () => {
        assert.equal(
          await buildAndRun(client, workspace.folder, `${server.address}/${base}`, name),
          expectedOutput,
        )
      })
    }
    for (const group of runs ? grouped(casesOf(name)) : []) {
      let outputs: ReturnType<typeof runGroup> | undefined
      for (const [index, one] of group.cases.entries()) {
        const why = Object.entries(one.except ?? {}).find(([each]) => name.startsWith(each))?.[1]
        it(`${one.image}: ${one.name}`, { skip: why ?? false }, async () => {
          outputs ??= runGroup(client, `${server.address}/${group.image}`, group, name)
          const output = (await outputs)[index] ?? ''
          if (typeof one.prints === 'string') assert.equal(output, one.prints)
          else assert.match(output, one.prints)
        })
      }
    }
  })
}
