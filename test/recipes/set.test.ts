import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { runNixery } from '../support/command.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from '../support/workspace.ts'

// Recipes in the attribute `images` of a package set, and the output of commands about recipes.

let workspace: Workspace
let server: ServerProcess
let set: string
before(async () => {
  workspace = await openWorkspace()
  set = await workspace.packageSet(`
    own = script "own" "echo own";
    inner = script "inner" "echo inner";
    conf = run "conf" "mkdir -p $out/etc; echo setting > $out/etc/app.conf";
    images = {
      web = {
        include = [ "common" ];
        packages = [ "own" ];
        cmd = [ "\${inner}/bin/inner" ];
        files = [
          { path = "/etc/app.conf"; source = "\${conf}/etc/app.conf"; uid = 7; mode = "0600"; }
          { path = "/etc/plain"; source = builtins.toFile "plain" "text"; }
        ];
      };
      common = { env.X = "1"; user = "nobody"; };
      fails = throw "not today";
      wrong = { packages = [ "own" ]; workDir = "/"; };
    };
  `)
  server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_EVAL: 'restricted' })
})
after(() => workspace.dispose())

async function configOf(name: string) {
  const { json, text, response } = await requestV2(server, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  const manifest = json as { config: { digest: string } }
  const config = await requestV2(server, `${name}/blobs/${manifest.config.digest}`, { redirect: 'follow' })
  return config.json as { config: Record<string, unknown>; history: { comment: string }[] }
}

describe('a recipe of the package set', () => {
  it('is evaluated by Nix, also restricted, and paths in its strings are in the image', async () => {
    const { config, history } = await configOf('recipe/web')
    const [command] = config['Cmd'] as string[]
    assert.match(command ?? '', /^\/nix\/store\/[^/]+-inner\/bin\/inner$/)
    assert.equal(config['User'], 'nobody')
    assert.ok((config['Env'] as string[]).includes('X=1'))
    const comments = history.map(({ comment }) => comment).join(' ')
    assert.match(comments, /\binner\b/)
    assert.match(comments, /\bplain\b/)
  })

  it('that fails is named in the error, and does not affect others', async () => {
    const failure = await failureOf(server, 'recipe/fails')
    assert.equal(failure.status, 422)
    assert.match(failure.message, /^recipe fails: does not evaluate:[^]*not today/)
    assert.deepEqual(await failureOf(server, 'recipe/wrong'), {
      status: 422,
      code: 'MANIFEST_UNKNOWN',
      message: 'recipe wrong: workDir: unknown field: did you mean workdir?',
    })
    assert.match(
      (await failureOf(server, 'recipe/none')).message,
      /there is no recipe none \(recipes are common, fails, web, wrong, shell/,
    )
  })
})

describe('the command line', () => {
  it('plans a recipe with its config and files', async () => {
    const ran = await runNixery(join(workspace.folder, 'cli'), set, ['plan', 'recipe/web', '--json'])
    const plan = JSON.parse(ran.stdout) as {
      config: { user: string }
      files: object[]
      layers: { paths: string[] }[]
    }
    assert.equal(plan.config.user, 'nobody')
    assert.deepEqual(
      plan.files.map((file) => ({ ...file, from: '' })),
      [
        { path: '/etc/app.conf', kind: 'copy', mode: '0600', uid: 7, gid: 0, from: '' },
        { path: '/etc/plain', kind: 'copy', uid: 0, gid: 0, from: '' },
      ],
    )
    assert.ok(plan.layers.some(({ paths }) => paths.some((path) => path.endsWith('-inner'))))
  })

  it('checks the recipes of a folder, with line and column', async () => {
    const folder = join(workspace.folder, 'recipes')
    await mkdir(folder)
    await writeFile(join(folder, 'good.toml'), 'packages = ["git"]\nenv.DB_PASSWORD = "x"\n')
    const check = () => runNixery(join(workspace.folder, 'cli'), set, ['recipe', 'check', folder])
    const good = await check()
    assert.deepEqual([good.exitCode, good.stdout.trim()], [0, 'good'])
    assert.match(
      good.stderr,
      /recipe good: everyone who can pull the image can read its variable DB_PASSWORD/,
    )
    await writeFile(join(folder, 'bad.toml'), 'packages = ["git"]\n  user = "app"\n')
    await writeFile(join(folder, 'worse.json'), '{\n  "cmd": 3 }')
    const bad = await check()
    assert.equal(bad.exitCode, 4)
    assert.match(bad.stderr, /bad\.toml:2:3: recipe bad: user: there is no account app/)
    assert.match(bad.stderr, /worse\.json:2:3: recipe worse: cmd: must be a list/)
  })
})
