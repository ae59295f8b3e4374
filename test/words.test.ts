import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { recipes } from '../src/image/recipes.ts'
import { runNixery } from './support/command.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

// Leading words of names, in a set with the packages that recipes need, and in one with packages of the same names as
// recipes.

let workspace: Workspace
let plain: ServerProcess
let other: ServerProcess
let set: string

const ofCi = recipes.ci.packages.map((name) => `"${name}" = script "${name}" "echo ${name}";`).join('\n')

before(async () => {
  workspace = await openWorkspace()
  const [first, otherSet] = await Promise.all([
    workspace.packageSet(`
      ${ofCi}
      own = script "own" "echo own";
      zlib = run "zlib" "mkdir -p $out/lib; echo z > $out/lib/libz.so.1";
      getent = script "getent" "echo getent";
      gcc-unwrapped.lib = run "gcc-lib" "mkdir -p $out/lib; echo c > $out/lib/libstdc++.so.6";
      "gtk+3" = own;
      compat = _: 1;
    `),
    workspace.packageSet(`
      coreutils = script "coreutils" "";
      ci = script "own-ci" "echo of the set";
      own = script "own" "echo own";
    `),
  ])
  set = first
  ;[plain, other] = await Promise.all([
    workspace.serve({ NIXERY_PKGS_PATH: set }),
    workspace.serve({ NIXERY_PKGS_PATH: otherSet, NIXERY_DENY: 'devcontainer' }),
  ])
})
after(() => workspace.dispose())

type Manifest = { config: { digest: string } }

/** The digest of an image and its default command. */
async function pull(server: ServerProcess, name: string) {
  const { response, json, text } = await requestV2(server, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  const config = await requestV2(server, `${name}/blobs/${(json as Manifest).config.digest}`, {
    redirect: 'follow',
  })
  const { Cmd } = (config.json as { config: { Cmd?: string[] } }).config
  return { digest: response.headers.get('docker-content-digest'), cmd: Cmd }
}

describe('a name that no image reference can contain', () => {
  it('is spelled, also in suggestions', async () => {
    await pull(plain, 'gtk__plus__3')
    await pull(plain, 'own/GTK__plus__3.out')
    assert.match(await messageOf(plain, 'gtk-plus-3'), /For gtk-plus-3, did you mean gtk__plus__3\?$/)
    assert.match(await messageOf(plain, 'gtk+3'), /gtk__plus__3 is gtk\+3 /)
  })

  it('is written literally on the command line', async () => {
    const run = await runNixery(join(workspace.folder, 'data'), set, ['plan', 'gtk+3', '--json'])
    const { image, packages } = JSON.parse(run.stdout) as PlanOutput
    assert.equal(image, 'gtk__plus__3:latest')
    assert.ok(
      packages.some(({ attribute }) => attribute === 'gtk+3'),
      run.stdout,
    )
  })
})

type PlanOutput = { image: string; packages: { attribute: string }[] }

const messageOf = async (server: ServerProcess, name: string) => (await failureOf(server, name)).message

describe('a leading word', () => {
  it('is a meta-package if the set has no package of that name', async () => {
    const ci = await pull(plain, 'ci/own')
    assert.deepEqual(ci.cmd, ['bash'])
    assert.deepEqual(await pull(plain, 'recipe/ci/own'), ci)
    assert.deepEqual(await pull(plain, 'ci/shell/own'), ci)
    // The same packages without the meta-package have no default command.
    const { cmd } = await pull(plain, `own/${recipes.ci.packages.join('/')}`)
    assert.equal(cmd, undefined)
    // A function of that name is not a package.
    const compat = await pull(plain, 'compat')
    assert.deepEqual(await pull(plain, 'recipe/compat'), compat)
    assert.deepEqual(await pull(plain, 'gcc-unwrapped.lib/zlib'), compat)
    assert.deepEqual((await pull(plain, 'devcontainer')).cmd, ['bash'])
  })

  it('is a package if the set has one, and a meta-package with the prefix `recipe/`', async () => {
    const own = await pull(other, 'ci/own')
    assert.equal(own.cmd, undefined)
    assert.deepEqual(await pull(other, 'own/ci'), own)
    assert.match(
      await messageOf(other, 'recipe/ci/own'),
      /has no bashInteractive, .* or which, which `ci` needs\.$/,
    )
  })

  it('is not subject to NIXERY_DENY if the set has no package of that name', async () => {
    assert.match(await messageOf(other, 'devcontainer'), /which `devcontainer` needs/)
  })

  it('appears once, before all packages', async () => {
    assert.match(await messageOf(plain, 'own/ci'), /`ci` must come first: ci\/own$/)
    assert.match(await messageOf(plain, 'shell/shell/own'), /`shell` occurs twice/)
  })

  it('reports which of its required packages are missing', async () => {
    const names = '[bashInteractive moreutils nano]'
    const message = `Could not find Nix packages: ${names}. The package set has no bashInteractive, moreutils or nano, which \`shell\` needs.`
    assert.equal(await messageOf(other, 'shell/own'), message)
  })
})
