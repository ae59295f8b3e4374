import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { logOf } from './support/log.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let set: string
let ran: string
before(async () => {
  workspace = await openWorkspace()
  ran = join(workspace.folder, 'ran')
  set = await workspace.packageSet(`
    hello = run "hello-1" "mkdir $out";
    hallo = hello;
    twin = derivation {
      name = "twin-1"; inherit system unique; builder = "/bin/sh"; outputs = [ "out" "dev" ];
      args = [ "-c" "/bin/mkdir $out $dev" ];
    };
    twins = twin // { meta.outputsToInstall = [ "dev" ]; };
    # Import from derivation, which leaves a file if it is evaluated.
    denied = import (run "denied-1" "touch ${ran}; echo 'derivation { name = \\"denied-2\\"; system = \\"x86_64-linux\\"; builder = \\"/bin/sh\\"; }' > $out");
    _7zz = run "7zz-1" "mkdir $out";
    secret = run "secret-1" "mkdir $out";
    secrets = run "secrets-1" "mkdir $out";
    broken = throw "cannot be evaluated";
    alias = { inherit secret hello; pkgs = { inherit hello hallo twin twins denied _7zz secret secrets broken alias; }; };
    nested = { secret = run "other-1" "mkdir $out"; };
  `)
})
after(() => workspace.dispose())

const statusOf = async (server: ServerProcess, name: string) =>
  (await requestV2(server, `${name}/manifests/latest`)).response.status

async function assertRefused(server: ServerProcess, ...names: string[]): Promise<void> {
  for (const name of names) {
    const failure = await failureOf(server, name)
    assert.deepEqual([failure.status, failure.code], [403, 'DENIED'], name)
    assert.match(failure.message, /: is not served by this registry$/, name)
  }
}

describe('NIXERY_DENY', () => {
  it('refuses a package by every name, without evaluating denied packages', async () => {
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_DENY: 'denied secret 7zz broken twin.dev',
    })
    await assertRefused(server, 'denied', 'DENIED', 'denied.out', 'denied.x.y', 'alias.pkgs.denied')
    await assertRefused(server, 'alias.pkgs.alias.pkgs.Denied.out', 'hello/denied')
    await assertRefused(server, '7zz', '_7zz.out', 'alias.pkgs.7zz')
    await assertRefused(
      server,
      'secret',
      'secret.out',
      'alias.secret',
      'alias.secret.out',
      'alias.pkgs.secret',
    )
    await assertRefused(server, 'twin.dev', 'alias.pkgs.twin.dev')
    // One of its outputs is denied.
    await assertRefused(server, 'twins', 'twins.dev')
    assert.equal(await statusOf(server, 'twins.out'), 200)
    assert.equal(existsSync(ran), false)
    for (const name of ['hello', 'twin', 'secrets', 'nested.secret'])
      assert.equal(await statusOf(server, name), 200, name)

    const warnings = (await logOf(server)).filter(({ msg }) => msg.startsWith('NIXERY_DENY: '))
    const names = warnings.map(({ msg }) => /derivation of (\S+) on amd64/.exec(msg)?.[1])
    assert.deepEqual(names, ['denied', 'broken'])
    // A denied name is not suggested, although it is more similar.
    const { message } = await failureOf(server, 'secre')
    assert.match(message, /did you mean secrets\?$/)
  })
})

describe('NIXERY_ALLOW', () => {
  it('prevents that anything else is served or evaluated', async () => {
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_ALLOW: 'hello, twin, alias.*' })
    await assertRefused(server, 'hallo', 'secrets', '7zz', 'denied', 'denied.out', 'broken', 'nested.secret')
    assert.equal(existsSync(ran), false)
    for (const name of ['hello', 'HELLO', 'twin.dev', 'alias.secret', 'alias.pkgs.secrets']) {
      assert.equal(await statusOf(server, name), 200, name)
    }
    // `hallo` would be the most similar name.
    const { status, message } = await failureOf(server, 'halo')
    assert.equal(status, 404)
    assert.match(message, /^Could not find Nix packages: \[halo\]\.$/)
  })
})
