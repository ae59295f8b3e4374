import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { runNixery } from './support/command.ts'
import { lastLayerOf, linksOf } from './support/links.ts'
import { logOf } from './support/log.ts'
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

/** Packages with various values of `meta`. */
const packages = `{ system, ... }: let
  make = name: script: extra: derivation ({
    inherit name system;
    unique = "${process.pid}";
    builder = "/bin/sh";
    args = [ "-c" "set -e; export PATH=/bin:/usr/bin\\n\${script}\\n:" ];
  } // extra);
  program = folder: name: output: "mkdir -p \${folder}/bin; printf '#!/bin/sh\\necho \${output}\\n' > \${folder}/bin/\${name}; chmod +x \${folder}/bin/\${name}";
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

describe('two packages with the same file', () => {
  it('provide the one with the lower priority, whatever the order of names', async () => {
    for (const name of ['low/high', 'high/low']) {
      assert.equal((await linksOf(server, name)).get('usr/bin/tool'), 'z-high-1/bin/tool', name)
    }
    assert.deepEqual(await manifestOf('low/high'), await manifestOf('high/low'))
  })
})

const prefix = 'org.opencontainers.image.'
type ImageMetadata = {
  created: string
  config: { Labels: Record<string, string> }
  annotations: unknown
  digest: string
}

/** The metadata in the config and the manifest of an image. */
async function metadataOf(from: ServerProcess, name: string, tag = 'latest'): Promise<ImageMetadata> {
  const headers = { Accept: mediaTypes.oci.manifest }
  const { response, json, text } = await requestV2(from, `${name}/manifests/${tag}`, { headers })
  assert.equal(response.status, 200, text)
  const { config, annotations } = json as Manifest & { annotations: unknown }
  const { json: image } = await requestV2(from, `${name}/blobs/${config.digest}`)
  const digest = response.headers.get('Docker-Content-Digest') ?? ''
  return { ...(image as Omit<ImageMetadata, 'annotations' | 'digest'>), annotations, digest }
}

describe('labels', () => {
  it('contain name, version and licenses, in the config and the manifest', async () => {
    const inbin = await metadataOf(server, 'inbin')
    assert.deepEqual(inbin.config.Labels, {
      [`${prefix}title`]: 'inbin',
      [`${prefix}version`]: '1',
      [`${prefix}licenses`]: 'MIT OR Apache-2.0',
    })
    assert.deepEqual(inbin.annotations, inbin.config.Labels)
    assert.equal(inbin.created, '1970-01-01T00:00:01Z')
    // One package has no license.
    const both = await metadataOf(server, 'inbin/low')
    assert.deepEqual(both.config.Labels, { [`${prefix}title`]: 'a-low, inbin' })
  })

  it('do not depend on the spelling of a name', async () => {
    const { digest } = await metadataOf(server, 'inbin/low')
    for (const name of ['LOW/inbin', 'same.inbin/low', 'low/inbin.out/inbin.bin']) {
      assert.equal((await metadataOf(server, name)).digest, digest, name)
    }
  })

  it('contain the commit only if the operator enables it', async () => {
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
    const settings = { NIXERY_PKGS_REPO: repository.url, NIXERY_IMAGE_URL: 'https://example.org/images' }
    const plain = await workspace.serve(settings)
    const digests = await Promise.all(commits.map(async (id) => (await metadataOf(plain, 'low', id)).digest))
    assert.equal(digests[0], digests[1])

    const withCommit = await workspace.serve({ ...settings, NIXERY_CREATED: 'revision' })
    const old = await metadataOf(withCommit, 'low', first)
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
      (await lastLayerOf(withCommit, 'low', first)).toString(),
      new RegExp(`^BUILD_ID=${first}$`, 'm'),
    )
    assert.notEqual((await metadataOf(withCommit, 'low', second)).digest, old.digest)
    assert.equal((await metadataOf(withCommit, 'low', first)).digest, old.digest)
  })
})

describe('a name without an output', () => {
  it('includes the default output and outputsToInstall, but no documentation', async () => {
    const links = await linksOf(server, 'inbin')
    assert.match(links.get('usr/bin/inbin') ?? '', /^inbin-1-bin\/bin/)
    assert.match(links.get('lib') ?? links.get('lib/libinbin.so') ?? '', /^inbin-1\/lib/)
    const out = await linksOf(server, 'inbin.out')
    assert.equal(out.has('usr/bin/inbin'), false)
    // `nixery plan` shows the same outputs.
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

  it('is served even if meta does not evaluate', async () => {
    await manifestOf('odd')
  })

  it('needs no evaluation if it is known', async () => {
    await manifestOf('inbin')
    await server.stop()
    await nixLog.started()
    const restarted = await workspace.serve(environment)
    for (const name of ['inbin', 'high/low']) await manifestOf(name, restarted)
    // Every server loads the package set when it starts.
    const started = (await nixLog.started()).filter((line) => /^nix-|^nix repl/.test(line))
    assert.deepEqual(
      started.filter((line) => !/ --version$|^nix repl/.test(line)),
      [],
    )
    const resolved = (await logOf(restarted)).filter(({ msg }) => msg === 'packages resolved')
    assert.ok(resolved.length >= 2 && resolved.every((line) => line['evaluated'] === 0))
  })
})
