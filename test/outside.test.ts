import assert from 'node:assert/strict'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { logOf } from './support/log.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const digestOf = async (server: ServerProcess, name: string) => {
  const { response, text } = await requestV2(server, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  return response.headers.get('Docker-Content-Digest')
}
const untilChanged = (server: ServerProcess, name: string, from: string | null) =>
  until(async () => (await digestOf(server, name)) !== from, `${name} changes`)
const folder = async (name: string, text: string) => {
  const path = join(workspace.folder, name)
  await mkdir(path)
  await writeFile(join(path, 'default.nix'), text)
  return path
}
/** A set that takes `config` and `overlays` like nixpkgs, and has nixpkgs' behavior without them. */
const nixpkgs = (text: string) => `{ system, config ? { allowUnfree = true; }, overlays ? [ ], ... }: let
    given = if builtins.isFunction config then config { } else config;
    make = name: text: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" "echo \${text} > $out; :" ]; };
    unfree = if given.allowUnfree or (builtins.getEnv "NIXPKGS_ALLOW_UNFREE" == "1") then { costly = make "costly" "${text}"; } else { };
    permitted = if builtins.elem "old" (given.permittedInsecurePackages or [ ]) then { old = make "old" "${text}"; } else { };
    broken = if given.allowBroken or false then { broken = make "broken" "${text}"; } else { };
    set = { hello = make "hello" "${text}"; inherit make; } // unfree // permitted // broken;
  in builtins.foldl' (set: overlay: set // overlay set set) set overlays`

describe('the files that a package set reads outside of its folder', () => {
  it('are watched: <nixpkgs>, while the server runs and after a restart', async () => {
    await folder('one', nixpkgs('one'))
    await folder('two', nixpkgs('two'))
    await symlink('one', join(workspace.folder, 'nixpkgs'))
    const update = async (to: string) => {
      await symlink(to, join(workspace.folder, 'new'))
      await rename(join(workspace.folder, 'new'), join(workspace.folder, 'nixpkgs'))
    }
    const set = await folder(
      'readme',
      '{ system, ... }: let pkgs = import <nixpkgs> { inherit system; }; in pkgs // { mytool = pkgs.hello; }',
    )
    const data = join(workspace.folder, 'data')
    const environment = {
      NIXERY_PKGS_PATH: set,
      NIX_PATH: `nixpkgs=${join(workspace.folder, 'nixpkgs')}`,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_PATH_STALE: '1',
    }
    const server = await workspace.serve(environment)
    const one = await digestOf(server, 'mytool')
    await update('two')
    await untilChanged(server, 'mytool', one)
    const two = await digestOf(server, 'mytool')
    await server.stop()
    await update('one')
    const restarted = await workspace.serve(environment)
    assert.equal(await digestOf(restarted, 'mytool'), one)
    assert.notEqual(two, one)
  })

  it('are watched: overlays and the configuration of nixpkgs, but not the environment', async () => {
    const set = await folder('configured', nixpkgs('configured'))
    const overlay = join(workspace.folder, 'overlay.nix')
    const config = join(workspace.folder, 'config.nix')
    const overlayWith = (text: string) =>
      writeFile(overlay, `final: prev: { added = prev.make "added" "${text}"; }`)
    await overlayWith('one')
    await writeFile(config, '{ ... }: { permittedInsecurePackages = [ ]; }')
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_OVERLAYS: overlay,
      NIXERY_NIXPKGS_CONFIG: config,
      NIXERY_PATH_STALE: '1',
      NIXERY_ALLOW_BROKEN: 'true',
      NIXPKGS_ALLOW_UNFREE: '1',
    })
    await digestOf(server, 'broken')
    // nixpkgs' environment variables have no effect.
    assert.equal((await failureOf(server, 'costly')).status, 404)
    assert.ok((await logOf(server)).some(({ msg }) => /NIXPKGS_ALLOW_UNFREE .*NIXERY_ALLOW_UNFREE/.test(msg)))
    const one = await digestOf(server, 'added')
    assert.equal((await failureOf(server, 'old')).status, 404)
    await overlayWith('two')
    await untilChanged(server, 'added', one)
    await writeFile(config, '{ permittedInsecurePackages = [ "old" ]; }')
    await until(
      async () => (await requestV2(server, 'old/manifests/latest')).response.status === 200,
      'the package is permitted',
    )
    await digestOf(server, 'old')
  })
})
