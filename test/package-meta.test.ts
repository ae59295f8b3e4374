import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { runNixery } from './support/command.ts'
import { linksOf } from './support/links.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import { ask, openWorkspace, type Workspace } from './support/workspace.ts'

type Manifest = { config: { digest: string }; layers: { digest: string }[] }

let workspace: Workspace
let nixLog: NixLog
let set: string
let environment: Record<string, string>
let server: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  nixLog = await openNixLog()
  set = join(workspace.folder, 'set')
  await mkdir(set)
  await writeFile(join(set, 'default.nix'), packages)
  const data = join(workspace.folder, 'data')
  environment = {
    NIXERY_PKGS_PATH: set,
    NIXERY_DATA: data,
    STORAGE_PATH: join(data, 'store'),
    PATH: `${nixLog.folder}:${process.env['PATH']}`,
  }
  server = await workspace.serve(environment)
})
after(async () => {
  await nixLog.close()
  await workspace.dispose()
})

/** Some whose meta says something. */
const packages = `{ system, ... }: let
  make = name: script: extra: derivation ({
    inherit name system;
    unique = "${process.pid}";
    builder = "/bin/sh";
    args = [ "-c" "set -e; export PATH=/bin:/usr/bin\\n\${script}\\n:" ];
  } // extra);
  program = folder: name: says: "mkdir -p \${folder}/bin; printf '#!/bin/sh\\necho \${says}\\n' > \${folder}/bin/\${name}; chmod +x \${folder}/bin/\${name}";
in {
  low = make "a-low-1" (program "$out" "tool" "low") { } // { meta.priority = 10; };
  high = make "z-high-1" (program "$out" "tool" "high") { } // { meta.priority = 5; };
  inbin = make "inbin-1" "mkdir -p $out/lib $man; echo > $out/lib/libinbin.so; \${program "$bin" "inbin" "inbin"}" {
    outputs = [ "out" "bin" "man" ];
  } // { meta.outputsToInstall = [ "bin" "man" ]; };
  odd = make "odd-1" (program "$out" "odd" "odd") { } // { meta = abort "not a package's business"; };
}
`

const manifestOf = async (name: string, from = server): Promise<Manifest> => {
  const { response, json, text } = await ask(from, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  return json as Manifest
}

describe('of two packages with the same file', () => {
  it('the one with the lower priority wins, in whichever order they are named', async () => {
    for (const name of ['low/high', 'high/low']) {
      assert.equal((await linksOf(server, name)).get('bin/tool'), 'z-high-1/bin/tool', name)
    }
    assert.deepEqual(await manifestOf('low/high'), await manifestOf('high/low'))
  })
})

describe('a name without an output', () => {
  it('gives the default one and those to install, but no documentation', async () => {
    const links = await linksOf(server, 'inbin')
    assert.match(links.get('bin/inbin') ?? links.get('bin') ?? '', /^inbin-1-bin\/bin/)
    assert.match(links.get('lib') ?? links.get('lib/libinbin.so') ?? '', /^inbin-1\/lib/)
    const out = await linksOf(server, 'inbin.out')
    assert.equal(out.has('bin') || out.has('bin/inbin'), false)
    // They are shown before anything is packed, too.
    const { stdout, stderr } = await runNixery(join(workspace.folder, 'plan'), set, [
      'plan',
      'inbin',
      '--json',
    ])
    const { packages: planned } = JSON.parse(stdout || stderr) as { packages: Record<string, string>[] }
    assert.deepEqual(
      planned.filter(({ attribute }) => attribute === 'inbin').map(({ output }) => output),
      ['out', 'bin'],
    )
  })

  it('is served whatever its meta is', async () => {
    await manifestOf('odd')
  })

  it('needs no Nix when it is known', async () => {
    await manifestOf('inbin')
    await server.stop()
    await nixLog.started()
    const again = await workspace.serve(environment)
    for (const name of ['inbin', 'high/low']) await manifestOf(name, again)
    // A server loads the package set when it starts, whatever is asked.
    const started = (await nixLog.started()).filter((line) => /^nix-|^nix repl/.test(line))
    assert.deepEqual(
      started.filter((line) => !/ --version$|^nix repl/.test(line)),
      [],
    )
    const resolved = again.log.filter(({ msg }) => msg === 'packages resolved')
    assert.ok(resolved.length >= 2 && resolved.every((line) => line['evaluated'] === 0))
  })
})
