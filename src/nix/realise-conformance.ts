import assert from 'node:assert/strict'
import { readdir, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { execa } from 'execa'
import { hasCode, NixeryError } from '../errors.ts'
import { parseStorePath } from '../image/store-path.ts'
import { DerivationGone, type WantedOutput } from './realise.ts'
import { failsWith, type Bench } from './testing.ts'

/** What is built, how long it is protected, and what is reported about failures. */
export function describeRealisation(bench: () => Bench): void {
  const realised = (wanted: readonly WantedOutput[], lines: string[] = []) =>
    bench().nix.withRealised(wanted, { onLine: (line) => lines.push(line) }, async () => 'used')
  const remove = (path: string) => execa('nix-store', ['--delete', path], { reject: false })

  describe('withRealised', () => {
    it('builds, and protects the outputs while they are in use', async () => {
      const [hello] = await bench().packages('hello = run "hello-2.12" "echo hello > $out";', 'hello')
      assert.ok(hello)
      const used = await bench().nix.withRealised([hello], {}, async () => {
        assert.match((await remove(hello.outputPath)).stderr, /still alive/)
        return readFile(hello.outputPath, 'utf8')
      })
      assert.equal(used, 'hello\n')
      assert.deepEqual(await readdir(join(bench().folder, 'roots')), [])
      assert.equal((await remove(hello.outputPath)).exitCode, 0)
      await assert.rejects(readFile(hello.outputPath), { code: 'ENOENT' })
      // Missing outputs are built again.
      assert.equal(await realised([hello]), 'used')
    })

    it('does not build existing outputs', async () => {
      const wanted = await bench().packages('hello = run "hello-2.12" "echo hello > $out";', 'hello')
      const [first, second]: string[][] = [[], []]
      await realised(wanted, first)
      await realised([...wanted, ...wanted], second)
      assert.ok(first?.some((line) => line.startsWith('building')))
      assert.deepEqual(second, [])
    })

    it('protects outputs for a while after their use, and starts no process for protected ones', async () => {
      const keeping = bench().limited({ keepRoots: 60 })
      const [hello, other] = await bench().packages(
        'hello = run "hello-2.12" "echo > $out"; other = run "other-1" "echo > $out";',
        'hello',
        'other',
      )
      assert.ok(hello && other)
      const freshOf = (wanted: readonly WantedOutput[]) =>
        keeping.withRealised(wanted, {}, async (fresh) => fresh)
      assert.deepEqual(await freshOf([hello]), [hello])
      assert.match((await remove(hello.outputPath)).stderr, /still alive/)
      assert.deepEqual(await freshOf([hello]), [])
      assert.deepEqual(await freshOf([other, hello]), [other])
      assert.deepEqual(await freshOf([hello, other]), [])
      // Removed roots no longer protect anything.
      const roots = join(bench().folder, 'roots')
      for (const name of await readdir(roots)) await rm(join(roots, name), { recursive: true })
      assert.equal((await remove(hello.outputPath)).exitCode, 0)
      assert.deepEqual(await freshOf([hello, other]), [hello, other])
      await keeping.close()
      assert.deepEqual(await readdir(roots), [])
      assert.equal((await remove(hello.outputPath)).exitCode, 0)
    })

    it('returns the result or the failure of its use, and leaves no root either way', async () => {
      const wanted = await bench().packages('hello = run "hello-2.12" "echo hello > $out";', 'hello')
      const failing = bench().nix.withRealised(wanted, {}, async () => Promise.reject(new Error('of use')))
      await assert.rejects(failing, /^Error: of use$/)
      assert.equal(await realised([]), 'used')
      assert.deepEqual(await readdir(join(bench().folder, 'roots')), [])
    })

    it('builds several outputs of one derivation, whatever their names', async () => {
      const [all] = await bench().packages(
        `all = derivation {
          name = "several-1";
          inherit system unique;
          outputs = [ "out" "dev" "a.B_c+d-e?=1" "unwanted" ];
          builder = "/bin/sh";
          args = [ "-c" "for path in $out $dev '\${builtins.placeholder "a.B_c+d-e?=1"}' $unwanted; do echo > $path; done; :" ];
        };`,
        'all',
      )
      assert.ok(all)
      const wanted = ['dev', 'out', 'a.B_c+d-e?=1'].map((output) => ({ ...all, output }))
      const roots = join(bench().folder, 'roots')
      await bench().nix.withRealised(wanted, {}, async () => {
        const [folder = ''] = await readdir(roots)
        const names = await readdir(join(roots, folder))
        assert.equal(names.length, wanted.length)
        for (const name of names) {
          const path = await readlink(join(roots, folder, name))
          assert.match((await remove(path)).stderr, /still alive/)
        }
      })
      const nothing = bench().nix.withRealised([{ ...all, output: 'nope' }], {}, async () => 'used')
      await assert.rejects(nothing, failsWith('BUILD_FAILED', /does not have (wanted )?outputs? 'nope'/))
    })

    it('reports the last lines of a failed builder', async () => {
      const body = `
        failing = run "failing-1" "echo early; for i in 1 2 3 4 5 6 7 8 9; do echo $i; done; echo last words >&2; exit 3";
        dependent = run "dependent-1" "echo \${failing} > $out";
        rude = run "rude-1" "printf '\\\\033[31mred\\\\033[0m\\\\007 10%%\\\\r20%%\\\\n\\\\033]0;title\\\\007\\\\342\\\\200\\\\256over\\\\nlast words\\\\n' >&2; exit 1";
        empty = run "empty-1" "";
        absent = derivation { name = "absent-1"; inherit system unique; builder = "/does/not/exist"; };
        foreign = derivation { name = "foreign-1"; inherit unique; system = "mips-none"; builder = "/bin/sh"; };
      `
      const names = ['failing', 'dependent', 'rude', 'empty', 'absent', 'foreign']
      const [failing, dependent, rude, empty, absent, foreign] = await bench().packages(body, ...names)
      assert.ok(failing && dependent && rude && empty && absent && foreign)
      const lastWords =
        /^a package could not be built: failing-1 failed with exit code 3:\nearly\n[^]*\n9\nlast words$/
      await assert.rejects(realised([failing]), failsWith('BUILD_FAILED', lastWords))
      await assert.rejects(
        realised([dependent]),
        failsWith('BUILD_FAILED', /: failing-1, which dependent-1 needs, failed[^]*\nlast words$/),
      )
      await assert.rejects(realised([empty]), failsWith('BUILD_FAILED', /failed to produce output/))
      await assert.rejects(realised([absent]), failsWith('BUILD_FAILED', /executing '\/does\/not\/exist'/))
      await assert.rejects(realised([foreign]), (error: unknown) => {
        assert.ok(error instanceof NixeryError)
        assert.equal(error.hint, 'the operator must configure a Nix builder for that platform')
        return failsWith('BUILD_FAILED', /mips-none/)(error)
      })
      const lines: string[] = []
      await assert.rejects(realised([rude], lines), (error: unknown) => {
        assert.ok(hasCode(error, 'BUILD_FAILED'))
        for (const line of [...lines, ...error.message.split('\n')]) {
          assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u)
        }
        return failsWith('BUILD_FAILED', /\nlast words$/)(error)
      })
    })

    it('reports the reason below a long chain, and for two builders that print at the same time', async () => {
      const body = `
        chain = n: if n == 0 then run "root-1" "echo THE REAL REASON >&2; exit 7"
          else run "chain-\${toString n}" "echo \${chain (n - 1)} > $out";
        deep = chain 30;
        two = n: run "two-\${toString n}" "for i in 1 2 3; do echo line $i of \${toString n}; /bin/sleep 0.1; done; exit \${toString n}";
        both = run "both-1" "echo \${two 1} \${two 2}";
      `
      const [deep, both] = await bench().packages(body, 'deep', 'both')
      assert.ok(deep && both)
      const reason = /: root-1, which chain-30 needs, failed with exit code 7:\nTHE REAL REASON$/
      await assert.rejects(realised([deep]), failsWith('BUILD_FAILED', reason))
      const one =
        /^[^\n]*: two-(?<n>[12]), which both-1 needs, failed with exit code \k<n>:\n(?:line \d of \k<n>\n?){3}$/
      await assert.rejects(realised([both]), failsWith('BUILD_FAILED', one))
    })

    it('is not delayed by the output of a builder', async () => {
      const noise = `line=${'x'.repeat(1000)}; i=0; while [ $i -lt 1000 ]; do echo $line $i; i=$((i+1)); done >&2`
      const body = `noisy = run "noisy-1" "${noise}; echo > $out"; endless = run "endless-1" "i=0; while [ $i -lt 200 ]; do printf '%10000d' 1; i=$((i+1)); done; echo > $out";`
      const wanted = await bench().packages(body, 'noisy', 'endless')
      const lines: string[] = []
      await realised(wanted, lines)
      assert.equal(lines.filter((line) => /^x{1000} \d+$/.test(line)).length, 1000)
      assert.ok(lines.every((line) => line.length <= 2000))
    })

    it('reports a package whose outPath is not its own', async () => {
      const wanted = await bench().packages(
        `honest = run "honest-1" "echo > $out"; other = run "other-2" "echo > $out";
         false = run "false-1" "echo > $out" // { outPath = builtins.unsafeDiscardStringContext other.outPath; };`,
        'honest',
        'false',
      )
      await assert.rejects(
        realised(wanted),
        failsWith(
          'PACKAGE_INVALID',
          /^the package false-1 is wrong: its outPath, \S+-other-2, is not the output out of/,
        ),
      )
      assert.deepEqual(await readdir(join(bench().folder, 'roots')), [])
    })

    it('ends a builder that takes too long', async () => {
      const wanted = await bench().packages('slow = run "slow-1" "/bin/sleep 60";', 'slow')
      const use = async () => 'used'
      await assert.rejects(
        bench().limited({ builderTimeout: 1 }).withRealised(wanted, {}, use),
        failsWith('BUILD_TIMEOUT', /^a package took more than 1 s to build:\n[^]*slow-1/),
      )
      await assert.rejects(
        bench().limited({ buildTimeout: 1 }).withRealised(wanted, {}, use),
        failsWith('BUILD_TIMEOUT', /^the build took too long/),
      )
    })

    it('ends a build that no client waits for, including its builder', async () => {
      const wanted = await bench().packages(
        `slow = run "slow-1" "/bin/sleep 61 # ${bench().unique}";`,
        'slow',
      )
      const abort = new AbortController()
      const onLine = (line: string) => line.startsWith('building') && setTimeout(() => abort.abort(), 200)
      await assert.rejects(
        bench().nix.withRealised(wanted, { signal: abort.signal, onLine }, async () => 'used'),
        failsWith('CANCELLED'),
      )
      assert.deepEqual(await commandsWith(`sleep 61 # ${bench().unique}`), [])
      assert.deepEqual(await readdir(join(bench().folder, 'roots')), [])
    })

    it('reports that a derivation was removed by the garbage collector', async () => {
      const [hello] = await bench().packages('hello = run "hello-2.12" "echo > $out";', 'hello')
      assert.ok(hello)
      assert.equal((await remove(hello.drvPath ?? '')).exitCode, 0)
      await assert.rejects(realised([hello]), (error) => {
        assert.ok(error instanceof DerivationGone)
        return failsWith('BUILD_FAILED')(error)
      })
    })

    it('reports a removed file that evaluation had put into the store like a removed derivation', async () => {
      const outputPath = parseStorePath(`/nix/store/${'a'.repeat(32)}-removed-file`)
      await assert.rejects(realised([{ outputPath }]), (error) => error instanceof DerivationGone)
    })

    it('limits the number of concurrent builds', async () => {
      const one = bench().limited({ concurrency: 1 })
      const body = 'a = run "a-1" "/bin/sleep 0.3; echo > $out"; b = run "b-1" "/bin/sleep 0.3; echo > $out";'
      const order: string[] = []
      const builds = (await bench().packages(body, 'a', 'b')).map((wanted) =>
        one.withRealised([wanted], { onLine: () => order.push(`begin ${wanted.output}`) }, async () =>
          order.push('end'),
        ),
      )
      await Promise.all(builds)
      assert.equal(order.filter((step) => step === 'end').length, 2)
      assert.ok(order.indexOf('end') < order.lastIndexOf('begin out'), order.join())
    })
  })
}

/** The command lines of running processes that contain a text. */
async function commandsWith(text: string): Promise<string[]> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    processes.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter((line) => line.includes(text))
}
