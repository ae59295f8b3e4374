import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { describeEvaluation } from './evaluate-conformance.ts'
import { describeEvaluators } from './evaluators-conformance.ts'
import { describePackageSets } from './set-conformance.ts'
import { describeFlakes } from './flake-conformance.ts'
import { FeaturesMissing } from './missing-features.ts'
import { describeRealisation } from './realise-conformance.ts'
import { describeRestriction } from './restriction-conformance.ts'
import { describeStoreless } from './storeless-conformance.ts'
import { failsWith, openBench, type Bench } from './testing.ts'

/**
 * What this program needs from Nix, tested with the Nix on PATH: real evaluations and real builds of small packages,
 * which are new in each run.
 * @param options.bin a folder to put first on PATH
 * @param options.skip why this Nix is not available
 */
export function describeNix(name: string, { bin, skip }: { bin?: string; skip?: string } = {}): void {
  describe(name, { skip: skip ?? false }, () => {
    let bench: Bench
    const path = process.env['PATH']
    before(async () => {
      bench = await openBench()
      if (bin !== undefined) process.env['PATH'] = `${bin}:${path}`
    })
    after(async () => {
      process.env['PATH'] = path
      await bench.close()
    })
    for (const evaluator of ['cold', 'warm'] as const) {
      describeEvaluation(evaluator)
      describePackageSets(evaluator)
    }
    describeEvaluators()
    describeRestriction()
    describeRealisation(() => bench)
    describeFacts(() => bench)
    describeFlakes(() => bench)
    describeStoreless(() => bench)

    it('reports its version', async () => {
      assert.match(await bench.nix.version(), /^\d+\.\d+/)
    })
  })
}

function describeFacts(bench: () => Bench): void {
  describe('system features', () => {
    it('that a derivation needs and this machine lacks are reported', async () => {
      const wanted = await bench().packages(
        `vm = derivation {
          name = "vm-test"; inherit system unique; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
          requiredSystemFeatures = [ "big-parallel" "odd-one" "odd-two" ];
        };
        app = run "app" "echo \${vm} > $out";`,
        'app',
      )
      assert.ok((await bench().nix.systemFeatures()).includes('big-parallel'))
      await assert.rejects(
        bench().nix.withRealised(wanted, {}, async () => {}),
        (error) => {
          assert.ok(error instanceof FeaturesMissing)
          assert.deepEqual([error.derivation, error.features], ['vm-test', ['odd-one', 'odd-two']])
          return true
        },
      )
    })
  })

  describe('closureFacts', () => {
    it('reports all reachable paths as they are in the store', async () => {
      const wanted = await bench().packages(
        `libc = run "libc-2.36" "echo libc > $out";
        lib = run "lib-1" "echo lib \${libc} > $out";
        app = run "app-1" "echo \${lib} \${libc} $out > $out";
        other = run "other-1" "echo > $out";`,
        'app',
        'lib',
        'libc',
        'other',
      )
      const [app, lib, libc] = wanted.map(({ outputPath }) => outputPath)
      assert.ok(app && lib && libc)
      await bench().nix.withRealised(wanted, {}, async () => {
        const facts = await bench().nix.closureFacts([app, lib], {})
        const of = (path: StorePath): PathFacts | undefined =>
          facts.find(({ storePath }) => storePath === path)
        assert.deepEqual(facts.map(({ storePath }) => storePath).sort(), [app, lib, libc].sort())
        assert.deepEqual(of(app)?.references, [app, lib, libc].sort())
        assert.deepEqual(of(lib)?.references, [libc])
        assert.deepEqual(of(libc)?.references, [])
        // A NAR of one small file is 112 bytes and the file, padded to eight.
        assert.equal(of(libc)?.narSize, 120)
        for (const { storePath, narHash } of facts) {
          const { stdout } = await execa('nix-hash', ['--type', 'sha256', storePath])
          assert.equal(narHash, `sha256-${Buffer.from(stdout, 'hex').toString('base64')}`)
        }
      })
    })

    it('reports nothing if nothing is requested', async () => {
      assert.deepEqual(await bench().nix.closureFacts([], {}), [])
    })

    it('fails for a path that does not exist', async () => {
      const [hello] = await bench().packages('hello = run "hello-2.12" "echo > $out";', 'hello')
      assert.ok(hello)
      await assert.rejects(
        bench().nix.closureFacts([hello.outputPath], {}),
        failsWith('BUILD_FAILED', /is not valid/),
      )
    })
  })
}
