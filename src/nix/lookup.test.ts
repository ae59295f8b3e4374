import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openBench, system, type Bench } from './testing.ts'

for (const evaluator of ['cold', 'warm'] as const) {
  describe(`looking up, ${evaluator}`, () => {
    let bench: Bench
    before(async () => {
      bench = await openBench(evaluator)
    })
    after(() => bench.close())

    it('distinguishes the path of a package from an output at its end', async () => {
      const set = await bench.set(`
        both = derivation {
          name = "both-1"; inherit system unique; builder = "/bin/sh"; args = [ ]; outputs = [ "out" "dev" ];
        };
        one = run "one-1" "";
        wrapped = one // { outputs = [ "out" "other" ]; other = both; passed = both; };
        nest.it = both;
      `)
      const table: [name: string, packagePath: string][] = [
        ['both', 'both'],
        ['both.out', 'both'],
        ['both.DEV', 'both'],
        ['both.dev.out.dev', 'both'],
        ['nest.it.dev', 'nest.it'],
        // A listed output counts only if it belongs to the same derivation.
        ['wrapped.other', 'wrapped.other'],
        ['wrapped.passed', 'wrapped.passed'],
        ['wrapped.passed.dev', 'wrapped.passed'],
      ]
      const looked = await bench.lookUp(set, ...table.map(([name]) => name))
      const paths = looked.map((found) => (found.status === 'package' ? found.packagePath.join('.') : found))
      assert.deepEqual(
        paths,
        table.map(([, path]) => path),
      )
    })

    it('evaluates nothing beyond the limits of a name', async () => {
      const set = await bench.file(`{ system, ... }: let
        self = {
          secret = abort "evaluated";
          alias = { inherit (self) secret; pkgs = self; again = self // { more = 1; }; part = { secret = "other"; }; };
          one = "one"; two = "two"; three = "three"; four = "four"; five = "five"; six = "six"; seven = "seven";
          eight = "eight";
        };
      in self`)
      const names = ['secret', 'alias.pkgs.secret', 'alias.again.secret', 'alias.again.alias.pkgs.SECRET.out']
      const limits = {
        [names[0] ?? '']: [0],
        [names[1] ?? '']: [3, 3, 2],
        [names[2] ?? '']: [3, 3, 2],
        [names[3] ?? '']: [6, 6, 6, 6, 4, 6],
        'alias.part.secret': [3, 3, 2],
        'alias.pkgs.scret': [3, 3, 2],
      }
      const attributes = [...names, 'alias.part.secret', 'alias.pkgs.scret'].map((name) => name.split('.'))
      const looked = await bench.nix.evaluate({ set: { folder: set }, system, attributes, limits }, {})
      assert.deepEqual(
        looked.slice(0, 4).map((found) => [found.status, 'path' in found && found.path.join('.')]),
        [
          ['denied', 'secret'],
          ['denied', 'alias.pkgs.secret'],
          ['denied', 'alias.again.secret'],
          ['denied', 'alias.again.alias.pkgs.secret'],
        ],
      )
      assert.deepEqual(looked[4], { status: 'other', path: ['alias', 'part', 'secret'], type: 'string' })
      assert.equal(looked[5]?.status, 'missing')
    })

    it('distinguishes sets of packages from other sets', async () => {
      const set = await bench.set(`
        hello = run "hello-1" "" // { meta = { description = "says hello"; }; };
        python3Packages = { recurseForDerivations = false; pip = abort "looked at"; };
        xorg = { recurseForDerivations = true; xeyes = abort "looked at"; };
        nested = { a = throw "not this"; b = run "b-1" ""; };
        lib = { id = x: x; };
        mixed = { a = abort "looked at"; b = run "b-1" ""; };
        config = { allowUnfree = true; };
        fetchurl = { __functor = self: args: args; };
        map = x: x;
      `)
      const again = await bench.file(
        `{ system, ... }: let self = { pkgs = self; a = 1; b = 2; c = 3; lib = { }; }; in self`,
      )
      const kinds = async (where: string, names: string[], limits?: Record<string, number[]>) => {
        const attributes = names.map((name) => name.split('.'))
        const lookUp = { set: { folder: where }, system, attributes, ...(limits && { limits }) }
        const looked = await bench.nix.evaluate(lookUp, {})
        return looked.map((found) => (found.status === 'other' ? found.type : found))
      }
      const names = ['python3Packages', 'xorg', 'lib', 'config', 'hello.meta', 'fetchurl', 'map']
      assert.deepEqual(await kinds(set, names), [
        'packages',
        'packages',
        'set',
        'set',
        'set',
        'lambda',
        'lambda',
      ])
      assert.deepEqual(await kinds(set, ['nested']), ['packages'])
      // Where names are restricted, nothing else is evaluated; and a member that fails does not fail the whole.
      assert.deepEqual(await kinds(set, ['nested', 'mixed'], {}), ['set', 'set'])
      assert.deepEqual(await kinds(set, ['mixed']), ['set'])
      assert.deepEqual(await kinds(again, ['pkgs', 'lib']), ['packages', 'set'])
    })

    it('builds nothing for an evaluation that must not build', async () => {
      const set = await bench.set(`
        made = import (run "made-1" "echo '\\"import\\"' > $out");
        plain = run "plain-1" "";
      `)
      const attributes = [['made'], ['plain']]
      const lookUp = { set: { folder: set }, system, attributes, importFromDerivation: false }
      const [made, plain] = await bench.nix.evaluate(lookUp, {})
      assert.ok(made?.status === 'failed')
      assert.match(made.message, /allow-import-from-derivation/)
      assert.equal(plain?.status, 'package')
    })
  })
}
