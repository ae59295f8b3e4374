import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { hasCode, NixeryError, type ErrorCode } from '../errors.ts'
import { platforms } from '../image/platform.ts'
import { storePathName, type PathFacts, type StorePath } from '../image/store-path.ts'
import type { Looked } from './evaluate.ts'
import { createNix, type Nix, type NixOptions } from './nix.ts'
import { isDerivationGone, type Wanted } from './realise.ts'

/**
 * What this program needs of Nix, for whatever Nix is on PATH: real evaluations and real builds of small packages,
 * which are new in each run.
 * @param options.bin a folder to put first on PATH
 * @param options.skip why there is no such Nix
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
    describeEvaluation(() => bench)
    describeRealisation(() => bench)
    describeFacts(() => bench)

    it('tells its version', async () => {
      assert.match(await bench.nix.version(), /^\d+\.\d+/)
    })
  })
}

/** A Nix, and a folder for package sets. */
export type Bench = {
  readonly nix: Nix
  readonly folder: string
  /** A text of no other run. */
  readonly unique: string
  /** Another view of Nix, with other limits. */
  limited(options: Partial<NixOptions>): Nix
  /** Writes a package set: `body` is what follows `rec {`, with `run name script` and a `unique` text at hand. */
  set(body: string): Promise<string>
  /** Writes a default.nix as it is. */
  file(text: string): Promise<string>
  lookUp(set: string, ...names: string[]): Promise<Looked[]>
  /** Instantiates packages of a new set. */
  packages(body: string, ...names: string[]): Promise<(Wanted & { outputPath: StorePath })[]>
  close(): Promise<void>
}

const system = platforms.amd64.system
export async function openBench(): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-nix-'))
  const unique = randomUUID()
  const limited = (options: Partial<NixOptions>): Nix =>
    createNix({
      rootsDirectory: join(folder, 'roots'),
      builderTimeout: 60,
      buildTimeout: 120,
      evalTimeout: 60,
      concurrency: 2,
      note: () => {},
      ...options,
    })
  const nix = limited({})
  let count = 0
  const file = async (text: string) => {
    const set = join(folder, `set ${(count += 1)}`)
    await mkdir(set)
    await writeFile(join(set, 'default.nix'), text)
    return set
  }
  const set = (body: string) =>
    file(`{ system, ... }: let
      unique = "${unique}-${count}";
      run = name: script: derivation {
        inherit name system unique;
        builder = "/bin/sh";
        args = [ "-c" "\${script}\\n:" ];
      };
    in rec { ${body} }`)
  const lookUp = (where: string, ...names: string[]) =>
    nix.evaluate({ set: { folder: where }, system, attributes: names.map((name) => name.split('.')) }, {})
  return {
    nix,
    folder,
    unique,
    limited,
    file,
    set,
    lookUp,
    async packages(body, ...names) {
      const looked = await lookUp(await set(body), ...names)
      return looked.map((found) => {
        if (found.status !== 'package') assert.fail(JSON.stringify(found))
        return found
      })
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

const failsWith =
  (code: ErrorCode, ...messages: RegExp[]) =>
  (error: unknown): true => {
    if (!(error instanceof NixeryError)) throw error
    assert.equal(error.code, code, error.message)
    for (const message of messages) assert.match(error.message, message)
    return true
  }

function describeEvaluation(bench: () => Bench): void {
  describe('evaluate', () => {
    it('finds what a name means', async () => {
      const set = await bench().set(`
        hello = run "hello-2.12" "";
        versioned = hello // { pname = "named"; version = "9"; };
        nameless = hello // { pname = null; version = null; };
        xorg.xeyes = run "xeyes-1.0" "";
        bashInteractive = run "bash-5.2" "";
        CamelCase.NestedName = run "nested-1" "";
        camelcase = "not me";
        _1password = run "1password-8" "";
        _7zz.is.deep = run "zz-1" "";
        two = run "lower-1" "";
        TWO = run "upper-1" "";
        tWo = run "mixed-1" "";
        lib = x: x;
        text = "text";
        number = 1;
        nothing = null;
        list = [ ];
      `)
      const table: [name: string, path: string[], what: string][] = [
        ['hello', ['hello'], 'hello 2.12'],
        ['versioned', ['versioned'], 'named 9'],
        ['nameless', ['nameless'], 'hello 2.12'],
        ['xorg.xeyes', ['xorg', 'xeyes'], 'xeyes 1.0'],
        ['xorg.XEyes', ['xorg', 'xeyes'], 'xeyes 1.0'],
        ['bashinteractive', ['bashInteractive'], 'bash 5.2'],
        ['BASHINTERACTIVE', ['bashInteractive'], 'bash 5.2'],
        ['camelCase.nestedname', ['CamelCase', 'NestedName'], 'nested 1'],
        ['camelcase', ['camelcase'], 'string'],
        ['1password', ['_1password'], '1password 8'],
        ['_1password', ['_1password'], '1password 8'],
        ['7zz.is.deep', ['_7zz', 'is', 'deep'], 'zz 1'],
        ['two', ['two'], 'lower 1'],
        ['TWO', ['TWO'], 'upper 1'],
        ['Two', ['TWO'], 'upper 1'], // the first in byte order
        ['xorg', ['xorg'], 'set'],
        ['lib', ['lib'], 'lambda'],
        ['text', ['text'], 'string'],
        ['number', ['number'], 'int'],
        ['nothing', ['nothing'], 'null'],
        ['list', ['list'], 'list'],
        ['hello.drvPath', ['hello', 'drvPath'], 'string'],
      ]
      const looked = await bench().lookUp(set, ...table.map(([name]) => name))
      const told = looked.map((found) => {
        if (found.status === 'package') return [found.path, `${found.pname} ${found.version}`]
        return found.status === 'other' ? [found.path, found.type] : [found]
      })
      assert.deepEqual(
        told,
        table.map(([, path, what]) => [path, what]),
      )
      const [hello] = looked
      assert.ok(hello?.status === 'package')
      assert.equal(storePathName(hello.drvPath), 'hello-2.12.drv')
      assert.equal(storePathName(hello.outputPath), 'hello-2.12')
      assert.equal(hello.output, 'out')
    })

    it('says what there is instead of what is missing', async () => {
      const set = await bench().set(`
        hello = run "hello-2.12" "";
        xorg = { xeyes = hello; xev = hello; };
        text = "text";
      `)
      const names = ['helo', 'xorg.xefs', 'xorg.xefs.more', 'hello.nothing', 'text.length', 'none.at.all']
      const top = ['hello', 'text', 'xorg']
      assert.deepEqual(await bench().lookUp(set, ...names), [
        { status: 'missing', path: [], siblings: top },
        { status: 'missing', path: ['xorg'], siblings: ['xev', 'xeyes'] },
        { status: 'missing', path: ['xorg'], siblings: ['xev', 'xeyes'] },
        { status: 'missing', path: ['hello'], siblings: [] },
        { status: 'missing', path: ['text'], siblings: [] },
        { status: 'missing', path: [], siblings: top },
      ])
    })

    it('takes names as data', async () => {
      const names = [
        '${builtins.abort "no"}',
        '"; builtins.abort "no',
        "''${x}",
        '\\',
        '\n',
        '$(id)',
        'é',
        '--help',
      ]
      const attribute = (name: string) => `${JSON.stringify(name).replaceAll('${', '\\${')} = run "it-1" "";`
      const there = await bench().set(names.map(attribute).join('\n'))
      const absent = await bench().set('')
      const attributes = names.map((name) => [name])
      for (const found of await bench().nix.evaluate({ set: { folder: there }, system, attributes }, {})) {
        assert.equal(found.status, 'package', JSON.stringify(found))
      }
      for (const found of await bench().nix.evaluate({ set: { folder: absent }, system, attributes }, {})) {
        assert.equal(found.status, 'missing')
      }
    })

    it('answers for the good ones among broken ones, and says what is wrong with those', async () => {
      const set = await bench().set(`
        good = run "good-1" "";
        alsogood = run "good-2" "";
        throws = throw "first line\\nsecond line";
        long = throw (builtins.concatStringsSep "\\n" (builtins.genList (n: "line \${toString n}.") 40));
        asserts = assert 1 == 2; good;
        inside = run "inside-1" (throw "from within");
        unfree = good // { drvPath = throw "unfree"; };
        set.of = throw "nested";
        aborts = abort "for good";
        recursion = let x = x; in x;
        endless = let f = n: f (n + 1) + 1; in f 0;
        type = 1 + "text";
        attribute = { }.foo;
        undefined = import ./nothing.nix;
        escapes = throw (builtins.fromJSON ''"\\u001b[31mred"'');
        fake = { type = "derivation"; name = "x"; outPath = "/etc"; drvPath = "/etc/passwd"; };
        placeholder = good // { outPath = "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"; };
        output = good // { outputName = "a!b"; };
      `)
      const table: [name: string, message: RegExp][] = [
        ['throws', /^error: first line\nsecond line$/],
        ['long', /^error: line 0\.\nline 1\.\n[^]*line 24\.$/],
        ['asserts', /^error: (assertion '\(1 == 2\)' failed|an integer with value '1' is not equal)/],
        ['inside', /^error: from within$/],
        ['unfree', /^error: unfree$/],
        ['set.of', /^error: nested$/],
        ['aborts', /^error: evaluation aborted with the following error message: 'for good'$/],
        ['recursion', /^error: infinite recursion encountered\nat .*default\.nix:/],
        ['endless', /^error: stack overflow/],
        ['type', /^error: cannot add a string to an integer\nat .*default\.nix:/],
        ['attribute', /^error: attribute 'foo' missing/],
        ['undefined', /^error: .*nothing\.nix/],
        ['escapes', /^error: red$/],
        ['fake', /^its derivation or its output is no store path/],
        ['placeholder', /^its derivation or its output is no store path/],
        ['output', /^its output has a name/],
      ]
      for (const broken of [table.slice(0, 6), table]) {
        const names = broken.map(([name]) => name)
        const [good, ...rest] = await bench().lookUp(set, 'good', ...names, 'missing', 'alsogood')
        assert.equal(good?.status, 'package')
        assert.equal(rest.at(-1)?.status, 'package')
        assert.equal(rest.at(-2)?.status, 'missing', JSON.stringify(rest.at(-2)))
        for (const [index, [name, message]] of broken.entries()) {
          const found = rest[index]
          assert.ok(found?.status === 'failed', `${name}: ${JSON.stringify(found)}`)
          assert.match(found.message, message, name)
        }
      }
    })

    it('says what is wrong with a package set', async () => {
      const table: [text: string, message: RegExp][] = [
        ['{ system }: {', /error: syntax error/],
        ['"text"', /its default\.nix is a string, but must be a function/],
        ['{ system }: 1', /gives a int, but must give an attribute set/],
        ['{ system }: throw "broken"', /^the package set does not evaluate:\nerror: broken$/],
        ['{ system }: abort "broken"', /broken/],
        ['{ system, needed }: { }', /without required argument 'needed'/],
        ['{ }: { }', /unexpected argument 'system'/],
      ]
      for (const [text, message] of table) {
        const set = await bench().file(text)
        await assert.rejects(bench().lookUp(set, 'hello'), failsWith('SOURCE_INVALID', message))
      }
      await assert.rejects(
        bench().lookUp(join(bench().folder, 'nowhere'), 'hello'),
        failsWith('SOURCE_INVALID', /nowhere/),
      )
      await mkdir(join(bench().folder, 'empty'))
      await assert.rejects(
        bench().lookUp(join(bench().folder, 'empty'), 'hello'),
        failsWith('SOURCE_INVALID', /default\.nix/),
      )
    })

    it('takes sets that want more or less than a system', async () => {
      for (const head of ['{ system }', '{ ... }', '{ system ? "none", config ? { }, ... }', 'arguments']) {
        const set = await bench().file(`${head}: { hello = throw "found"; }`)
        const [found] = await bench().lookUp(set, 'hello')
        assert.deepEqual(found, { status: 'failed', message: 'error: found' })
      }
    })

    it('answers nothing when asked for nothing', async () => {
      assert.deepEqual(await bench().lookUp(await bench().set('')), [])
    })

    it('builds what an evaluation needs, and tells when that fails', async () => {
      const set = await bench().set(`
        made = import (run "made-1" "echo '\\"import\\"' > $out");
        failing = import (run "failing-1" "echo these are its last words >&2; exit 4");
      `)
      const [made, failing] = await bench().lookUp(set, 'made', 'failing')
      assert.deepEqual(made, { status: 'other', path: ['made'], type: 'string' })
      assert.ok(failing?.status === 'failed')
      assert.match(failing.message, /^these are its last words\nerror: .*failing-1[^]*exit code 4/)
    })

    it('ends one that takes too long, and one that nobody waits for', async () => {
      const set = await bench().set('slow = import (run "slow-1" "/bin/sleep 60");')
      const lookUp = { set: { folder: set }, system, attributes: [['slow']] }
      await assert.rejects(
        bench().limited({ evalTimeout: 1 }).evaluate(lookUp, {}),
        failsWith('EVALUATION_TIMEOUT', /^evaluating took more than 1 s$/),
      )
      const abort = new AbortController()
      const onLine = (line: string) => line.startsWith('building') && setTimeout(() => abort.abort(), 200)
      await assert.rejects(
        bench().nix.evaluate(lookUp, { signal: abort.signal, onLine }),
        failsWith('CANCELLED'),
      )
      await assert.rejects(
        bench().nix.evaluate(lookUp, { signal: AbortSignal.abort() }),
        failsWith('CANCELLED'),
      )
    })
  })
}

function describeRealisation(bench: () => Bench): void {
  const realised = (wanted: readonly Wanted[], lines: string[] = []) =>
    bench().nix.withRealised(wanted, { onLine: (line) => lines.push(line) }, async () => 'used')
  const remove = (path: string) => execa('nix-store', ['--delete', path], { reject: false })

  describe('withRealised', () => {
    it('builds, and protects what was built while it is in use', async () => {
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
      // What is gone is built again.
      assert.equal(await realised([hello]), 'used')
    })

    it('does not build what is there', async () => {
      const wanted = await bench().packages('hello = run "hello-2.12" "echo hello > $out";', 'hello')
      const [first, second]: string[][] = [[], []]
      await realised(wanted, first)
      await realised([...wanted, ...wanted], second)
      assert.ok(first?.some((line) => line.startsWith('building')))
      assert.deepEqual(second, [])
    })

    it('gives what is made with it, and its failure, and leaves no root either way', async () => {
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

    it('tells the last words of a builder that fails', async () => {
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
        /^a package could not be built:\nearly\n[^]*\n9\nlast words\nerror: [^]*failing-1[^]*exit code 3/
      await assert.rejects(realised([failing]), failsWith('BUILD_FAILED', lastWords))
      await assert.rejects(realised([dependent]), failsWith('BUILD_FAILED', /last words\n[^]*dependent-1/))
      await assert.rejects(realised([empty]), failsWith('BUILD_FAILED', /failed to produce output/))
      await assert.rejects(realised([absent]), failsWith('BUILD_FAILED', /executing '\/does\/not\/exist'/))
      await assert.rejects(realised([foreign]), (error: unknown) => {
        assert.ok(error instanceof NixeryError)
        assert.equal(error.hint, 'the operator must give Nix a machine of that platform to build on')
        return failsWith('BUILD_FAILED', /mips-none/)(error)
      })
      const lines: string[] = []
      await assert.rejects(realised([rude], lines), (error: unknown) => {
        assert.ok(hasCode(error, 'BUILD_FAILED'))
        for (const line of [...lines, ...error.message.split('\n')]) {
          assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u)
        }
        return failsWith('BUILD_FAILED', /last words\n/)(error)
      })
    })

    it('is not held up by what a builder prints', async () => {
      const noise = `line=${'x'.repeat(1000)}; i=0; while [ $i -lt 1000 ]; do echo $line $i; i=$((i+1)); done >&2`
      const body = `noisy = run "noisy-1" "${noise}; echo > $out"; endless = run "endless-1" "i=0; while [ $i -lt 200 ]; do printf '%10000d' 1; i=$((i+1)); done; echo > $out";`
      const wanted = await bench().packages(body, 'noisy', 'endless')
      const lines: string[] = []
      await realised(wanted, lines)
      assert.equal(lines.filter((line) => /^x{1000} \d+$/.test(line)).length, 1000)
      assert.ok(lines.every((line) => line.length <= 2000))
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
        failsWith('BUILD_TIMEOUT', /^building took too long as a whole/),
      )
    })

    it('ends a build that nobody waits for, with its builder', async () => {
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

    it('tells that a derivation was removed by the garbage collector', async () => {
      const [hello] = await bench().packages('hello = run "hello-2.12" "echo > $out";', 'hello')
      assert.ok(hello)
      assert.equal((await remove(hello.drvPath)).exitCode, 0)
      await assert.rejects(realised([hello]), (error) => {
        assert.ok(isDerivationGone(error))
        return failsWith('BUILD_FAILED')(error)
      })
    })

    it('runs no more at once than it may', async () => {
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

function describeFacts(bench: () => Bench): void {
  describe('closureFacts', () => {
    it('tells of all that is reached, as it lies in the store', async () => {
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

    it('tells of nothing when asked for nothing', async () => {
      assert.deepEqual(await bench().nix.closureFacts([], {}), [])
    })

    it('fails for a path that is not there', async () => {
      const [hello] = await bench().packages('hello = run "hello-2.12" "echo > $out";', 'hello')
      assert.ok(hello)
      await assert.rejects(
        bench().nix.closureFacts([hello.outputPath], {}),
        failsWith('BUILD_FAILED', /is not valid/),
      )
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
