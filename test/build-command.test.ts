import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa, type Options } from 'execa'
import { openPodman } from '../scripts/podman.ts'
import type { ServerProcess } from '../scripts/server.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { launcher, runNixery } from './support/command.ts'
import { logOf } from './support/log.ts'
import { requestV2, demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let demo: string
before(async () => {
  workspace = await openWorkspace()
  demo = await demoPackages()
})
after(() => workspace.dispose())

const inFolder = (name: string) => join(workspace.folder, name)

const nixery = (
  data: string,
  args: readonly string[],
  { set = demo, ...options }: { set?: string } & Options = {},
) => runNixery(inFolder(data), set, args, options)

const serve = (data: string): Promise<ServerProcess> =>
  workspace.serve({
    NIXERY_DATA: inFolder(data),
    STORAGE_PATH: inFolder(`${data}/store`),
    NIXERY_PKGS_PATH: demo,
  })

type Result = { digest: string; config: string; size: number; layers: { digest: string; diffId: string }[] }

const skopeo = async (...args: string[]) => (await execa('skopeo', args, { stripFinalNewline: false })).stdout
const sha256 = async (text: string) =>
  `sha256:${(await execa('sha256sum', { input: text })).stdout.split(' ')[0] ?? ''}`

describe('nixery build', () => {
  it("writes the same bytes as the registry, and both reuse each other's images", async () => {
    const forms = [
      `docker-archive:${inFolder('d.tar')}`,
      `oci-archive:${inFolder('o.tar')}`,
      `oci:${inFolder('o')}`,
    ]
    const results: Result[] = []
    for (const output of forms) {
      const run = await nixery('same', ['build', 'shell/hello', '--output', output, '--json'])
      assert.equal(run.exitCode, 0, run.stderr)
      results.push(JSON.parse(run.stdout) as Result)
      assert.equal(/"type":"packed"/.test(run.stderr), output === forms[0], 'packed once')
    }
    const [first] = results
    assert.ok(first)
    const server = await serve('same')
    const { response, json } = await requestV2(server, 'shell/hello/manifests/latest', {
      headers: { Accept: mediaTypes.oci.manifest },
    })
    const manifest = json as { config: { digest: string }; layers: { digest: string }[] }
    assert.ok(!(await logOf(server)).some(({ msg }) => msg === 'layer packed'))
    for (const { digest, config, layers } of results) {
      assert.equal(digest, response.headers.get('Docker-Content-Digest'))
      assert.equal(config, manifest.config.digest)
      assert.deepEqual(
        layers.map((layer) => layer.digest),
        manifest.layers.map((layer) => layer.digest),
      )
    }
    await requestV2(server, 'shell/jq/manifests/latest')
    await server.stop()
    const run = await nixery('same', ['build', 'shell/jq', '--json'])
    assert.doesNotMatch(run.stderr, /"type":"(packed|realised)"/)

    for (const [index, source] of forms.entries()) {
      assert.equal(await sha256(await skopeo('inspect', '--config', '--raw', source)), first.config)
      if (index > 0) assert.equal(await sha256(await skopeo('inspect', '--raw', source)), first.digest)
      await skopeo('copy', source, `dir:${inFolder(`copied-${index}`)}`)
    }
    // The archive for Docker is also an OCI layout, which Docker 25 and containerd prefer.
    const asLayout = `oci-archive:${inFolder('d.tar')}`
    assert.equal(await sha256(await skopeo('inspect', '--raw', asLayout)), first.digest)
    const { rootfs } = JSON.parse(await skopeo('inspect', '--config', '--raw', forms[0] ?? '')) as {
      rootfs: { diff_ids: string[] }
    }
    assert.deepEqual(
      rootfs.diff_ids,
      first.layers.map((layer) => layer.diffId),
    )
  })

  it('writes the same bytes each time, also from another store, and to standard output', async () => {
    for (const form of ['docker-archive', 'oci-archive']) {
      const file = inFolder(`again-${form}`)
      await nixery('same', ['build', 'shell/hello', '-o', `${form}:${file}`])
      const bytes = await readFile(file)
      const piped = await nixery('other', ['build', 'shell/hello', '-o', `${form}:-`], {
        encoding: 'buffer',
        maxBuffer: 1e9,
      })
      // `deepEqual` would print the difference of a hundred megabytes.
      assert.ok(bytes.equals(piped.stdout as unknown as Uint8Array))
    }
  })

  it('writes an archive that podman loads and runs, under its name', async () => {
    const podman = await openPodman(inFolder('podman'))
    try {
      const file = inFolder('podman.tar')
      const run = await nixery('same', ['build', 'shell/hello', '-o', `docker-archive:${file}`])
      assert.match(run.stdout, /^sha256:[0-9a-f]{64}$/)
      await podman.run('load', '--quiet', '--input', file)
      assert.equal(await podman.runIn('nixery/shell/hello:latest', 'hello'), 'Hello, world!')
      await nixery('same', ['build', 'shell/hello', '-o', `oci-archive:${file}`, '--name', 'team/hello:v1'])
      await podman.run('load', '--quiet', '--input', file)
      assert.match(await podman.run('images', '--format', '{{.Repository}}:{{.Tag}}'), /team\/hello:v1/)
    } finally {
      await podman.destroy()
    }
  })

  it('writes a layout that umoci unpacks, and adds further images to it', async () => {
    const layout = inFolder('umoci')
    const names = ['shell/hello', 'shell/jq', 'hello', 'jq/hello']
    await Promise.all(names.map((name) => nixery('same', ['build', name, '-o', `oci:${layout}`])))
    const { stdout } = await execa('umoci', ['list', '--layout', layout])
    assert.deepEqual(stdout.split('\n').toSorted(), [
      'nixery/hello/jq:latest',
      'nixery/hello:latest',
      'nixery/shell/hello:latest',
      'nixery/shell/jq:latest',
    ])
    await execa('umoci', ['unpack', '--image', `${layout}:nixery/shell/jq:latest`, inFolder('bundle')])
    assert.equal((await execa('chroot', [inFolder('bundle/rootfs'), '/bin/jq', '-n', '6*7'])).stdout, '42')
  })

  it('builds only for the server if there is no output', async () => {
    const run = await nixery('same', ['build', 'shell/hello', '--json'])
    const result = JSON.parse(run.stdout) as Result & { output?: string }
    assert.equal(result.output, undefined)
    assert.ok(result.size > 0)
  })

  it('reports progress in lines without control characters, or in JSON', async () => {
    const set = await workspace.packageSet(
      `loud = run "loud" "printf '\\\\033[31mred\\\\007\\\\n' >&2; mkdir -p $out/bin; echo > $out/bin/loud";`,
    )
    const plain = await nixery('progress', ['build', 'loud'], { set })
    assert.equal(plain.exitCode, 0, plain.stderr)
    assert.match(
      plain.stderr,
      /^data in \S+, blobs in \S+\nbuilding loud\n[^]*\n1 package: loud\n[^]*\nnix: red\n/,
    )
    assert.doesNotMatch(plain.stderr, /[\u0000-\u0009\u000b-\u001f]/)
    const json = await nixery('progress', ['build', 'loud', '--json'], { set })
    const events = json.stderr.split('\n').map((line) => JSON.parse(line) as { type: string })
    assert.deepEqual([events[0]?.type, events.at(-1)?.type], ['folders', 'finished'])
    const failed = await nixery('progress', ['build', 'lout', '--json'], { set })
    const error = JSON.parse(failed.stderr.split('\n').at(-1) ?? '') as Record<string, unknown>
    assert.deepEqual(
      [failed.stdout, error['type'], error['code'], error['exitCode']],
      ['', 'error', 'PACKAGE_UNKNOWN', 3],
    )
    assert.deepEqual((error['detail'] as { missing: string[] }).missing, ['lout'])
  })

  it('shows a changing line on a terminal, without color if requested', async () => {
    const env = {
      TERM: 'xterm',
      CI: undefined,
      NO_COLOR: undefined,
      NIXERY_DATA: inFolder('terminal'),
      NIXERY_PKGS_PATH: demo,
    }
    const command = `${launcher} build hello -o docker-archive:${inFolder('terminal.tar')}`
    const inTerminal = (line: string, more = {}) =>
      execa('script', ['-qec', `stty cols 100; ${line}`, '/dev/null'], {
        env: { ...env, ...more },
        reject: false,
      })
    const withoutWidth = await execa('script', ['-qec', `stty cols 0; ${command}`, '/dev/null'], { env })
    assert.doesNotMatch(withoutWidth.stdout, /\u001b/)
    const colored = await inTerminal(command)
    assert.match(colored.stdout, /\u001b\[36m/)
    assert.match(colored.stdout, /\u001b\[0?K/)
    assert.doesNotMatch((await inTerminal(command, { NO_COLOR: '1' })).stdout, /\u001b\[3\dm/)
    assert.doesNotMatch((await inTerminal(command, { TERM: 'dumb' })).stdout, /\u001b/)
    const refused = await inTerminal(`${launcher} build hello -o oci-archive:-`)
    assert.equal(refused.exitCode, 2)
    assert.match(refused.stdout, /refusing to write an archive to a terminal/)
  })
})

describe('an existing output', () => {
  it('is replaced atomically, or not changed if it is not an image', async () => {
    const file = inFolder('old.tar')
    await writeFile(file, 'old')
    assert.equal((await nixery('same', ['build', 'hello', '-o', `oci-archive:${file}`])).exitCode, 0)
    assert.ok((await stat(file)).size > 100_000)
    const other = inFolder('precious')
    await mkdir(other)
    await writeFile(join(other, 'data'), '')
    assert.equal((await nixery('same', ['build', 'hello', '-o', `oci:${other}`])).exitCode, 2)
    assert.deepEqual(await readdir(other), ['data'])
    await nixery('same', ['build', 'hello', '-o', 'docker-archive:/dev/null'])
    assert.ok((await stat('/dev/null')).isCharacterDevice())
  })

  it('is not changed before the image exists', async () => {
    const file = inFolder('unchanged.tar')
    await writeFile(file, 'old')
    assert.equal((await nixery('same', ['build', 'nope', '-o', `oci-archive:${file}`])).exitCode, 3)
    assert.equal(await readFile(file, 'utf8'), 'old')
  })
})
