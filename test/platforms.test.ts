import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let server: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  // `here` builds on this machine for both platforms, because only the responses matter, not the contents.
  const set = await workspace.packageSet(`
    here = derivation { name = "here-1"; system = "x86_64-linux"; inherit unique; builder = "/bin/sh"; args = [ "-c" "/bin/mkdir $out" ]; };
    away = run "away-1" "mkdir $out";
    unsupported = if system == "x86_64-linux" then here else throw "Unsupported system: \${system}";
    denied = if system == "x86_64-linux" then here else throw "Package ‘x-1’ in x.nix:1 has an unfree license (‘unfree’), refusing to evaluate.";
    thrown = if system == "x86_64-linux" then here else throw "not today";
    network = if system == "x86_64-linux" then here else import (derivation { name = "network-1"; system = "x86_64-linux"; inherit unique; builder = "/bin/sh"; args = [ "-c" "echo Unsupported system >&2; exit 1" ]; });
  } // (if system == "x86_64-linux" then { only = derivation { name = "only-1"; inherit system unique; builder = "/bin/sh"; args = [ "-c" "/bin/mkdir $out" ]; }; } else { other = 1; }) // {
  `)
  server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_PLATFORMS: 'amd64,arm64' })
})
after(() => workspace.dispose())

const { index } = mediaTypes.oci
async function pull(name: string) {
  const { response, json } = await requestV2(server, `${name}/manifests/latest`, {
    headers: { Accept: index },
  })
  const manifests = (json as { manifests?: { platform: { architecture: string } }[] } | undefined)?.manifests
  return {
    status: response.status,
    platforms: manifests?.map(({ platform }) => platform.architecture),
    message: (json as Failure | undefined)?.errors?.[0]?.message ?? '',
  }
}

describe('an index over several platforms', () => {
  it('contains the platforms that the package supports', async () => {
    const rows: [name: string, platforms: string[]][] = [
      ['here', ['amd64', 'arm64']],
      ['only', ['amd64']],
      ['unsupported', ['amd64']],
      ['denied', ['amd64']],
    ]
    for (const [name, platforms] of rows) {
      const result = await pull(name)
      assert.deepEqual([result.status, result.platforms], [200, platforms], `${name}: ${result.message}`)
    }
  })

  it('reports why an image lacks a requested platform', async () => {
    const rows: [name: string, status: number, message: RegExp][] = [
      ['only', 404, /^linux\/arm64: Could not find Nix packages: \[only\]/],
      ['unsupported', 403, /^linux\/arm64: unsupported: does not support arm64$/],
      ['denied', 403, /^linux\/arm64: denied: has an unfree licence/],
    ]
    for (const [name, status, message] of rows) {
      const result = await pull(`arm64/${name}`)
      assert.equal(result.status, status, name)
      assert.match(result.message, message)
    }
  })

  it('fails with the name of the platform if one fails for another reason', async () => {
    const rows: [name: string, message: RegExp][] = [
      ['away', /^linux\/arm64: /], // this machine cannot build for arm64
      ['thrown', /^linux\/arm64: thrown: does not evaluate:\nerror: not today/],
      [
        'network',
        /^linux\/arm64: network: does not evaluate:\nnetwork-1 failed with exit code 1:\nUnsupported system/,
      ], // may be temporary, despite its message
    ]
    for (const [name, message] of rows) {
      const result = await pull(name)
      assert.equal(result.status, 422, `${name}: ${result.message}`)
      assert.match(result.message, message)
    }
  })

  it('lists the reason for each platform if none is available', async () => {
    const result = await pull('nothing')
    assert.equal(result.status, 404)
    assert.match(result.message, /^linux\/amd64, linux\/arm64: Could not find Nix packages: \[nothing\]/)
    const mixed = await pull('only/unsupported/other')
    assert.equal(mixed.status, 404)
    assert.match(mixed.message, /^linux\/amd64: Could not .*\[other\].*\nlinux\/arm64: Could not .*\[only\]/)
  })
})
