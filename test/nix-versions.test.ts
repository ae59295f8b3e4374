import assert from 'node:assert/strict'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { byText, type PathFacts } from '../src/image/store-path.ts'
import { describeNix } from '../src/nix/conformance.ts'
import type { LookupResult } from '../src/nix/evaluate.ts'
import { openBench, system, wantedOf, type Bench } from '../src/nix/testing.ts'
import { nixDatabase, nixSchemaVersion } from '../src/rootfs/nix/database.ts'
import { secondNix } from './support/second-nix.ts'

const others = await Promise.all((['trixie', 'sid'] as const).map((suite) => secondNix(suite)))
const available = others.filter((nix) => 'bin' in nix)

for (const nix of others) {
  if ('bin' in nix) describeNix(`Nix ${nix.version}`, { bin: nix.bin })
  else describeNix('another Nix', { skip: nix.missing })
}

describe('all versions of Nix', { skip: available.length === 0 && 'only one version is available' }, () => {
  const path = process.env['PATH']
  let bench: Bench
  before(async () => {
    bench = await openBench()
  })
  after(async () => {
    process.env['PATH'] = path
    await bench.close()
  })

  it('resolve names in the same way, and build the same images', async () => {
    const set = await bench.set(`
      libc = run "libc-2.36" "echo libc > $out";
      app = run "app-1" "/bin/mkdir -p $out/bin; echo \${libc} $out > $out/bin/app; /bin/chmod +x $out/bin/app; /bin/ln -s bin/app $out/link";
      several = derivation {
        name = "several-1";
        inherit system unique;
        outputs = [ "out" "dev" ];
        builder = "/bin/sh";
        args = [ "-c" "echo $dev > $out; echo > $dev; :" ];
      } // {
        meta = {
          priority = 7;
          outputsToInstall = [ "dev" null ];
          license = [ { spdxId = "MIT"; } { licenseType = "compound"; operator = "OR"; licenses = [ "ISC" { } ]; } ];
          description = throw "not asked for";
        };
      };
      broken = throw "first line\\nsecond line";
      nested.tool = app;
    `)
    const attributes = ['app', 'several', 'broken', 'NESTED.tool', 'ap', 'nested'].map((name) =>
      name.split('.'),
    )
    const results: { lookups: LookupResult[]; facts: PathFacts[] }[] = []
    for (const bin of ['', ...available.map((nix) => `${nix.bin}:`)]) {
      process.env['PATH'] = `${bin}${path}`
      const nix = bench.limited({})
      const lookups = await nix.evaluate({ set: { folder: set }, system, attributes }, {})
      const packages = lookups.filter((result) => result.status === 'package').flatMap(wantedOf)
      const built: string[] = []
      const onLine = (line: string) => line.startsWith('building') && built.push(line)
      const facts = await nix.withRealised(packages, { onLine }, async () =>
        nix.closureFacts(
          packages.map(({ outputPath }) => outputPath),
          {},
        ),
      )
      assert.equal(built.length, 3) // each version builds the packages
      results.push({ lookups, facts: facts.sort((a, b) => (a.storePath < b.storePath ? -1 : 1)) })
      await execa('nix-store', ['--delete', ...facts.map(({ storePath }) => storePath)])
    }
    const [first, ...rest] = results
    assert.equal(first?.facts.length, 4)
    for (const result of rest) assert.deepEqual(result, first)
  })

  it('can use the database of an image', async () => {
    const set = await bench.set(
      `app = run "app-2" "echo $out > $out"; user = run "user-1" "echo \${app} > $out";`,
    )
    const nix = bench.limited({})
    const [result] = await nix.evaluate({ set: { folder: set }, system, attributes: [['user']] }, {})
    assert.ok(result)
    const [user] = wantedOf(result)
    const { outputPath } = user
    const facts = await nix.withRealised([user], {}, async () => nix.closureFacts([outputPath], {}))
    facts.sort((a, b) => byText(a.storePath, b.storePath))
    for (const bin of ['', ...available.map((other) => `${other.bin}:`)]) {
      const state = await mkdtemp(join(bench.folder, 'state-'))
      await mkdir(join(state, 'db'))
      await writeFile(join(state, 'db', 'db.sqlite'), nixDatabase(facts))
      await writeFile(join(state, 'db', 'schema'), String(nixSchemaVersion))
      const config = 'build-users-group =\nsubstitute = false'
      const env = { PATH: `${bin}${path}`, NIX_STATE_DIR: state, NIX_CONFIG: config }
      const run = async (...args: string[]) => (await execa('nix-store', args, { env })).stdout.split('\n')
      const all = facts.map(({ storePath }) => storePath)
      assert.deepEqual((await run('--query', '--requisites', outputPath)).toSorted(), all)
      await run('--verify', '--check-contents')
      const [added = ''] = await run('--add', join(state, 'db', 'schema'))
      assert.deepEqual(await run('--query', '--size', added, outputPath), ['120', '168'])
      await run('--delete', added)
    }
  })
})
