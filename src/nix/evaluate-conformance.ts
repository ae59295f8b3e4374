import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { storePathName } from '../image/store-path.ts'
import { failsWith, openBench, system, type Bench } from './testing.ts'

/** How names are looked up in package sets; see `set-conformance.ts` for the sets themselves. */
export function describeEvaluation(evaluator: 'cold' | 'warm'): void {
  describe(`evaluate, ${evaluator}`, () => {
    let opened: Bench
    const bench = () => opened
    before(async () => {
      opened = await openBench(evaluator)
    })
    after(() => opened.close())

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
        ['xorg', ['xorg'], 'packages'],
        ['lib', ['lib'], 'lambda'],
        ['text', ['text'], 'string'],
        ['number', ['number'], 'int'],
        ['nothing', ['nothing'], 'null'],
        ['list', ['list'], 'list'],
        ['hello.drvPath', ['hello', 'drvPath'], 'string'],
      ]
      const looked = await bench().lookUp(set, ...table.map(([name]) => name))
      const summaries = looked.map((found) => {
        if (found.status === 'package') return [found.path, `${found.pname} ${found.version}`]
        return found.status === 'other' ? [found.path, found.type] : [found]
      })
      assert.deepEqual(
        summaries,
        table.map(([, path, what]) => [path, what]),
      )
      const [hello] = looked
      assert.ok(hello?.status === 'package')
      assert.equal(storePathName(hello.drvPath), 'hello-2.12.drv')
      assert.deepEqual(
        hello.outputs.map(({ output, outputPath }) => [output, storePathName(outputPath)]),
        [['out', 'hello-2.12']],
      )
    })

    it('reports what exists in place of a missing name', async () => {
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

    it('resolves the good names among broken ones, and reports what is wrong with the others', async () => {
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
        ['fake', /^its derivation or its output has no store path/],
        ['placeholder', /^its derivation or its output has no store path/],
        ['output', /^its output has an invalid name/],
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

    it('returns nothing if nothing is requested', async () => {
      assert.deepEqual(await bench().lookUp(await bench().set('')), [])
    })

    it('builds what an evaluation needs, and reports failures', async () => {
      const set = await bench().set(`
        made = import (run "made-1" "echo '\\"import\\"' > $out");
        failing = import (run "failing-1" "echo these are its last words >&2; exit 4");
      `)
      const [made, failing] = await bench().lookUp(set, 'made', 'failing')
      assert.deepEqual(made, { status: 'other', path: ['made'], type: 'string' })
      assert.ok(failing?.status === 'failed')
      assert.match(failing.message, /^failing-1 failed with exit code 4:\nthese are its last words$/)
    })

    it('ends an evaluation that takes too long, or that no caller waits for', async () => {
      const set = await bench().set('slow = import (run "slow-1" "/bin/sleep 60");')
      const lookUp = { set: { folder: set }, system, attributes: [['slow']] }
      await assert.rejects(
        bench().limited({ evalTimeout: 1 }).evaluate(lookUp, {}),
        failsWith('EVALUATION_TIMEOUT', /^evaluation took more than 1 s$/),
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
