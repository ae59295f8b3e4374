import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { runNixery } from './support/command.ts'
import { lastLayerOf, linksOf } from './support/links.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import { openRepository } from './support/repository.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

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
in rec {
  low = make "a-low-1" (program "$out" "tool" "low") { } // { meta.priority = 10; };
  high = make "z-high-1" (program "$out" "tool" "high") { } // { meta.priority = 5; };
  inbin = make "inbin-1" "mkdir -p $out/lib $man; echo > $out/lib/libinbin.so; \${program "$bin" "inbin" "inbin"}" {
    outputs = [ "out" "bin" "man" ];
  } // { meta = { outputsToInstall = [ "bin" "man" ]; license = "MIT OR Apache-2.0"; }; };
  same = { inherit inbin; };
  odd = make "odd-1" (program "$out" "odd" "odd") { } // { meta = abort "not a package's business"; };
}
`

const manifestOf = async (name: string, from = server): Promise<Manifest> => {
  const { response, json, text } = await requestV2(from, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  return json as Manifest
}

describe('of two packages with the same file', () => {
  it('the one with the lower priority wins, in any order of the names', async () => {
    for (const name of ['low/high', 'high/low']) {
      assert.equal((await linksOf(server, name)).get('usr/bin/tool'), 'z-high-1/bin/tool', name)
    }
    assert.deepEqual(await manifestOf('low/high'), await manifestOf('high/low'))
  })
})

const prefix = 'org.opencontainers.image.'
type Told = {
  created: string
  config: { Labels: Record<string, string> }
  annotations: unknown
  digest: string
}

/** What an image says of itself, in its config and its manifest. */
async function toldBy(from: ServerProcess, name: string, tag = 'latest'): Promise<Told> {
  const headers = { Accept: mediaTypes.oci.manifest }
  const { response, json, text } = await requestV2(from, `${name}/manifests/${tag}`, { headers })
  assert.equal(response.status, 200, text)
  const { config, annotations } = json as Manifest & { annotations: unknown }
  const { json: told } = await requestV2(from, `${name}/blobs/${config.digest}`)
  const digest = response.headers.get('Docker-Content-Digest') ?? ''
  return { ...(told as Omit<Told, 'annotations' | 'digest'>), annotations, digest }
}

describe('labels', () => {
  it('contain name, version and licenses, in the config and the manifest', async () => {
    const inbin = await toldBy(server, 'inbin')
    assert.deepEqual(inbin.config.Labels, {
      [`${prefix}title`]: 'inbin',
      [`${prefix}version`]: '1',
      [`${prefix}licenses`]: 'MIT OR Apache-2.0',
    })
    assert.deepEqual(inbin.annotations, inbin.config.Labels)
    assert.equal(inbin.created, '1970-01-01T00:00:01Z')
    // One package has no license.
    const both = await toldBy(server, 'inbin/low')
    assert.deepEqual(both.config.Labels, { [`${prefix}title`]: 'a-low, inbin' })
  })

  it('do not depend on how an image is named', async () => {
    const { digest } = await toldBy(server, 'inbin/low')
    for (const name of ['LOW/inbin', 'same.inbin/low', 'low/inbin.out/inbin.bin']) {
      assert.equal((await toldBy(server, name)).digest, digest, name)
    }
  })

  it('contain the commit if the operator wants it, and do not depend on it otherwise', async () => {
    const repository = await openRepository(workspace.folder)
    const commits: string[] = []
    for (const word of ['first', 'second']) {
      const id = await repository.commit(async (folder) => {
        await writeFile(join(folder, 'default.nix'), packages)
        await writeFile(join(folder, 'README'), word)
      })
      commits.push(id)
    }
    const [first = '', second = ''] = commits
    const over = { NIXERY_PKGS_REPO: repository.url, NIXERY_IMAGE_URL: 'https://example.org/images' }
    const plain = await workspace.serve(over)
    const digests = await Promise.all(commits.map(async (id) => (await toldBy(plain, 'low', id)).digest))
    assert.equal(digests[0], digests[1])

    const telling = await workspace.serve({ ...over, NIXERY_CREATED: 'revision' })
    const old = await toldBy(telling, 'low', first)
    const created = new Date((await repository.git('show', '-s', '--format=%cI', first)).trim())
      .toISOString()
      .replace('.000Z', 'Z')
    assert.equal(old.created, created)
    assert.deepEqual(old.config.Labels, {
      [`${prefix}title`]: 'a-low',
      [`${prefix}version`]: '1',
      [`${prefix}url`]: 'https://example.org/images',
      [`${prefix}created`]: created,
      [`${prefix}revision`]: first,
    })
    assert.deepEqual(old.annotations, old.config.Labels)
    assert.match(
      (await lastLayerOf(telling, 'low', first)).toString(),
      new RegExp(`^BUILD_ID=${first}$`, 'm'),
    )
    assert.notEqual((await toldBy(telling, 'low', second)).digest, old.digest)
    assert.equal((await toldBy(telling, 'low', first)).digest, old.digest)
  })
})

describe('a name without an output', () => {
  it('includes the default one and those to install, but no documentation', async () => {
    const links = await linksOf(server, 'inbin')
    assert.match(links.get('usr/bin/inbin') ?? '', /^inbin-1-bin\/bin/)
    assert.match(links.get('lib') ?? links.get('lib/libinbin.so') ?? '', /^inbin-1\/lib/)
    const out = await linksOf(server, 'inbin.out')
    assert.equal(out.has('usr/bin/inbin'), false)
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

  it('is served for any meta', async () => {
    await manifestOf('odd')
  })

  it('needs no Nix if it is known', async () => {
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
