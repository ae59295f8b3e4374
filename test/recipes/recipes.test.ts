import assert from 'node:assert/strict'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { clientsOf, runcRow } from '../images/clients.ts'
import { runNixery } from '../support/command.ts'
import { startDockerRegistry } from '../support/docker-registry.ts'
import { requestV2, demoPackages, failureOf, openWorkspace, type Workspace } from '../support/workspace.ts'

// Runs images of recipes in real runtimes. `npm run images` uses all runtimes of two Debian releases.

let workspace: Workspace
let server: ServerProcess
let recipes: string
before(async () => {
  workspace = await openWorkspace()
  recipes = join(workspace.folder, 'recipes')
  await cp(new URL('folder', import.meta.url), recipes, { recursive: true })
  server = await workspace.serve({
    NIXERY_PKGS_PATH: await demoPackages(),
    NIXERY_RECIPES: recipes,
    NIXERY_RECIPE_NAMES: 'bare',
  })
})
after(() => workspace.dispose())

/** Scripts, and what a container of `recipe/app` must print for them in every runtime. */
const rows: readonly (readonly [script: string, expected: string])[] = [
  ['id -u; id -g; id -un; pwd; echo $GREETING', '1234\n2345\napp\n/srv/app\nhello world'],
  ['id -G', '2345 100 3000'],
  [
    'stat -c "%a %u %g %n" /srv/app /home/app /srv /etc/app.conf',
    '755 1234 2345 /srv/app\n755 1234 2345 /home/app\n755 0 0 /srv\n640 1234 100 /etc/app.conf',
  ],
  ['cat /etc/app.conf /opt/link; /opt/site/run', 'from text\nhi\nran'],
  [
    'stat -c "%a %u %F" /opt/site /opt/site/run /opt/site/page.txt',
    '755 1234 directory\n755 1234 regular file\n644 1234 regular file',
  ],
  ['echo x >> /srv/app/new && echo x > /data/new && stat -c %g /data/new', '2345'],
  ['tail -n 2 /etc/passwd', 'app:x:1234:2345::/home/app:/bin/sh\nextra:x:3000:3000::/home/extra:/bin/sh'],
]

const all = process.env['NIXERY_IMAGES'] === 'all'
for (const { name, open, runs } of [...(await clientsOf(all)), await runcRow()]) {
  if (!runs || (!all && !['podman', 'docker', 'runc'].includes(name))) continue
  describe(name, () => {
    let client: Awaited<ReturnType<typeof open>>
    before(async () => {
      client = await open(join(workspace.folder, name.replaceAll(' ', '-')))
      const pulled = await client.pull(`${server.address}/recipe/app`)
      assert.ok(pulled.ok, pulled.output)
    })
    after(() => client.dispose())

    it('starts as the user, in the working directory, with the groups, variables and files of the recipe', async () => {
      // All scripts share one container to save time. containerd and runc take a command in place of the entry point.
      // umoci mounts an empty directory owned by root at each volume.
      const own = name === 'runc' ? rows.filter(([script]) => !script.includes('/data/')) : rows
      const scripts = own.map(([script]) => `(${script}) 2>&1; printf '\\001\\n'`).join('; ')
      const command = /^containerd|^runc/.test(name) ? ['/bin/sh', '-c', scripts] : [scripts]
      const ran = await client.run?.(`${server.address}/recipe/app`, ...command)
      const outputs = (ran?.output ?? '')
        .replaceAll('\r', '')
        .split('\u0001')
        .map((each) => each.trim())
      assert.deepEqual(
        outputs.slice(0, own.length),
        own.map(([, expected]) => expected),
      )
    })

    it('shows the stop signal, ports, volumes, labels and, with Docker, the health check', async () => {
      if (!client.inspect) return
      const config = await client.inspect(`${server.address}/recipe/app`)
      assert.equal(config['StopSignal'], 'SIGUSR1')
      assert.deepEqual(config['ExposedPorts'], { '8080/tcp': {} })
      assert.deepEqual(config['Volumes'], { '/data': {} })
      assert.equal((config['Labels'] as Record<string, string>)['org.example.team'], 'web')
      if (!name.startsWith('docker')) return
      const times = { Interval: 1.5e9, Timeout: 2e9, StartPeriod: 3e9 }
      assert.deepEqual(config['Healthcheck'], {
        Test: ['CMD', '/bin/sh', '-c', 'exit 0'],
        ...times,
        Retries: 4,
      })
    })
  })
}

const digestOf = async (name: string) => {
  const { response, text } = await requestV2(server, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  return response.headers.get('docker-content-digest')
}

describe('the name of a recipe', () => {
  it('needs no recipe/ if the operator allows it, and may have further packages', async () => {
    const digest = await digestOf('recipe/app')
    assert.equal(await digestOf('app'), digest)
    assert.equal(await digestOf('amd64/recipe/app'), digest)
    assert.notEqual(await digestOf('recipe/app/hello'), digest)
    assert.equal(await digestOf('app/hello'), await digestOf('recipe/app/hello'))
  })

  it('is an error with the recipe, the field and the position, and does not affect others', async () => {
    assert.deepEqual(await failureOf(server, 'recipe/broken'), {
      status: 422,
      code: 'MANIFEST_UNKNOWN',
      message: 'broken.toml:2:1: recipe broken: workdri: unknown field: did you mean workdir?',
    })
    const unknown = await failureOf(server, 'recipe/nothing')
    assert.equal(unknown.status, 404)
    assert.match(unknown.message, /there is no recipe nothing \(recipes are .*app.*labelled/)
    assert.match((await failureOf(server, 'recipe/arm')).message, /the recipe arm is for arm64 only/)
    assert.ok(await digestOf('arm64/recipe/arm'))
  })

  it('conflicts with that of a package, which the log reports when the recipe is loaded', async () => {
    const messages = () => server.log.map(({ msg }) => msg)
    assert.ok(
      messages().some((line) => line.startsWith('broken.toml:2:1: recipe broken: workdri: unknown field')),
    )
    await writeFile(join(recipes, 'hello.toml'), 'packages = ["bash"]\n')
    // A request for a recipe rescans the folder.
    while (
      !messages().some((line) => line.startsWith('recipe hello: the package set has a package of this name'))
    )
      await digestOf('recipe/labelled')
    for (;;) {
      const { response, json } = await requestV2(server, 'hello/manifests/latest')
      if (response.status !== 200) {
        const [error] = (json as { errors: { message: string }[] }).errors
        assert.match(
          error?.message ?? '',
          /^recipe hello: the package set has a package of this name: rename the recipe, or pull recipe\/hello/,
        )
        break
      }
    }
    assert.ok(await digestOf('recipe/hello'))
  })

  it('results in another image when the recipe changes', async () => {
    const first = await digestOf('recipe/labelled')
    await writeFile(
      join(recipes, 'labelled.json'),
      '{ "cmd": ["sh"], "annotations": { "org.example.note": "from a recipe" } }',
    )
    while ((await digestOf('recipe/labelled')) === first);
  })
})

it('the annotations of a recipe are in the manifest', async () => {
  const headers = { Accept: 'application/vnd.oci.image.manifest.v1+json' }
  const { json } = await requestV2(server, 'recipe/app/manifests/latest', { headers })
  assert.equal(
    (json as { annotations: Record<string, string> }).annotations['org.example.note'],
    'from a recipe',
  )
})

it('the command line builds, warms and pushes a recipe with the same digest as the server', async () => {
  const data = join(workspace.folder, 'cli')
  const set = await demoPackages()
  const run = (...args: readonly string[]) => runNixery(data, set, args, { env: { NIXERY_RECIPES: recipes } })
  const headers = { Accept: 'application/vnd.oci.image.manifest.v1+json' }
  const { response } = await requestV2(server, 'recipe/app/manifests/latest', { headers })
  const digest = response.headers.get('docker-content-digest')

  const warmed = await run('warm', 'recipe/app', '--json')
  assert.equal(warmed.exitCode, 0, warmed.stderr)
  assert.match(warmed.stdout, new RegExp(String(digest)))
  const built = await run('build', 'recipe/app')
  assert.equal(built.exitCode, 0, built.stderr)
  assert.equal(built.stdout.trim(), digest)

  const registry = await startDockerRegistry(join(workspace.folder, 'registry'))
  try {
    const pushed = await run('push', 'recipe/app', `${registry.address}/team/app:v1`, '--format', 'oci')
    assert.equal(pushed.exitCode, 0, pushed.stderr)
    const manifest = await fetch(`http://${registry.address}/v2/team/app/manifests/v1`, { headers })
    assert.equal(manifest.headers.get('docker-content-digest'), digest)
  } finally {
    await registry.stop()
  }
})
