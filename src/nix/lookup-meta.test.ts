import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openBench, system, type Bench } from './testing.ts'
import type { LookupResult } from './evaluate.ts'

type Package = Extract<LookupResult, { status: 'package' }>

for (const evaluator of ['cold', 'warm'] as const) {
  describe(`the meta of packages, ${evaluator}`, () => {
    let bench: Bench
    before(async () => {
      bench = await openBench(evaluator)
    })
    after(() => bench.close())

    const lookUp = async (body: string, names: readonly string[], meta?: boolean): Promise<Package[]> => {
      const attributes = names.map((name) => name.split('.'))
      const set = { folder: await bench.set(body) }
      const looked = await bench.nix.evaluate(
        { set, system, attributes, ...(meta !== undefined && { meta }) },
        {},
      )
      return looked.map((found) => (found.status === 'package' ? found : assert.fail(JSON.stringify(found))))
    }

    const several = `
      several = derivation {
        name = "several-1"; inherit system unique; builder = "/bin/sh"; args = [ ];
        outputs = [ "out" "bin" "dev" "man" "info" "doc" "devdoc" "lib" ];
      };
      install = names: several // { meta.outputsToInstall = names; };
    `

    it('the outputs of a name without an output', async () => {
      const rows: [value: string, name: string, outputs: string][] = [
        ['several', 'x', 'out'],
        ['install [ "bin" "man" ]', 'x', 'out bin'],
        // In the package's own order, each once.
        ['install [ "lib" "out" "bin" "lib" "info" "doc" "devdoc" ]', 'x', 'out bin lib'],
        ['install [ "nothing" null 1 (throw "no") "dev" ]', 'x', 'out dev'],
        ['install "bin"', 'x', 'out'],
        ['install (throw "no")', 'x', 'out'],
        // A named output is used alone, whether the client or the package set names it.
        ['install [ "bin" ]', 'x.out', 'out'],
        ['install [ "bin" ]', 'x.man', 'man'],
        ['(install [ "bin" ]).dev // { meta.outputsToInstall = [ "bin" ]; }', 'x', 'dev'],
        ['install [ "bin" ] // { outputSpecified = true; }', 'x', 'out'],
        // Listed as an output, but not of the same derivation.
        ['install [ "bin" ] // { bin = run "other-1" ""; }', 'x', 'out'],
        ['install [ "bin" ] // { bin = throw "no"; }', 'x', 'out'],
        ['install [ "bin" ] // { outputs = "bin"; }', 'x', 'out'],
      ]
      const body = rows.map(([value], index) => `nest${index}.x = ${value};`).join('\n')
      const found = await lookUp(
        several + body,
        rows.map(([, name], index) => `nest${index}.${name}`),
      )
      assert.deepEqual(
        found.map(({ outputs }) => outputs.map(({ output }) => output).join(' ')),
        rows.map(([, , outputs]) => outputs),
      )
      const paths = found[2]?.outputs.map(({ outputPath }) => outputPath.replace(/.*several-1/, ''))
      assert.deepEqual(paths, ['', '-bin', '-lib'])
    })

    it('its priority, if that is a number', async () => {
      const rows: [priority: string, read: number][] = [
        ['10', 10],
        ['-3', -3],
        ['"15"', 15],
        ['1.5', 5],
        ['null', 5],
        ['"high"', 5],
        ['[ ]', 5],
        ['throw "no"', 5],
        ['9223372036854775807', 999_999_999],
      ]
      const body = rows.map(([value], index) => `x${index} = several // { meta.priority = ${value}; };`)
      const names = rows.map((_, index) => `x${index}`)
      const found = await lookUp(several + body.join('\n'), ['several', ...names, 'x0.bin'])
      assert.deepEqual(
        found.map(({ priority }) => priority),
        // The last is an output of the first.
        [5, ...rows.map(([, read]) => read), 10],
      )
    })

    it('its license, in the formats of nixpkgs, limited in length', async () => {
      const mit = '{ spdxId = "MIT"; shortName = "mit"; fullName = throw "not asked for"; }'
      const rows: [license: string, read: unknown][] = [
        [mit, { spdxId: 'MIT', name: 'mit' }],
        ['{ fullName = "Unfree"; free = false; }', { spdxId: null, name: 'Unfree' }],
        ['"GPL\\n\\tv3"', { text: 'GPL v3' }],
        [
          `[ ${mit} "ISC" ]`,
          { operator: 'AND', licenses: [{ spdxId: 'MIT', name: 'mit' }, { text: 'ISC' }] },
        ],
        [
          '{ licenseType = "exception"; operator = "WITH"; license = "A"; exception = "B"; }',
          { operator: 'WITH', licenses: [{ text: 'A' }, { text: 'B' }] },
        ],
        ['[ (throw "no") ]', { operator: 'AND', licenses: [null] }],
        ['builtins.genList (n: "MIT") 100000', { operator: 'AND', licenses: [null] }],
        [
          '[ [ [ [ "MIT" ] ] ] ]',
          {
            operator: 'AND',
            licenses: [
              {
                operator: 'AND',
                licenses: [{ operator: 'AND', licenses: [{ operator: 'AND', licenses: [null] }] }],
              },
            ],
          },
        ],
        [
          'let self = [ self ]; in self',
          {
            operator: 'AND',
            licenses: [
              {
                operator: 'AND',
                licenses: [{ operator: 'AND', licenses: [{ operator: 'AND', licenses: [null] }] }],
              },
            ],
          },
        ],
        ['several', null],
        ['1', null],
        ['null', null],
        ['x: x', null],
        ['throw "no"', null],
      ]
      const body = rows.map(([value], index) => `x${index} = several // { meta.license = ${value}; };`)
      const huge =
        'huge = several // { meta.license = builtins.concatStringsSep "x" (builtins.genList toString 100000); };'
      const names = rows.map((_, index) => `x${index}`)
      const found = await lookUp(several + body.join('\n') + huge, [...names, 'huge'])
      const last = found.pop()?.license
      assert.deepEqual(
        found.map(({ license }) => license),
        rows.map(([, read]) => read),
      )
      assert.ok(last && 'text' in last && last.text.length <= 200)
    })

    it('nothing that makes a package fail, and nothing that was not requested', async () => {
      const body = `${several}
        throws = several // { meta = throw "no"; };
        text = several // { meta = "text"; };
        aborts = several // { meta.license = abort "no"; };
        recursion = several // { meta.priority = let x = x; in x; };
        imports = several // { meta.license = import (run "failing-1" "exit 1"); };
        others = several // { meta = { description = abort "no"; homepage = abort "no"; platforms = abort "no"; }; };
      `
      const names = ['throws', 'text', 'aborts', 'recursion', 'imports', 'others', 'several']
      const found = await lookUp(body, names)
      const plain = found.at(-1)
      for (const each of found) {
        assert.deepEqual([each.priority, each.license, each.outputs], [5, null, plain?.outputs])
      }
      const quiet = `${several} x = several // { meta = abort "no"; };`
      assert.equal((await lookUp(quiet, ['x'], false)).length, 1)
    })
  })
}
