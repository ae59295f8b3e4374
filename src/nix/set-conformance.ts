import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { failsWith, openBench, system, type Bench } from './testing.ts'

/** How package sets are called, and which ones are refused. */
export function describePackageSets(evaluator: 'cold' | 'warm'): void {
  describe(`package sets, ${evaluator}`, () => {
    let opened: Bench
    const bench = () => opened
    before(async () => {
      opened = await openBench(evaluator)
    })
    after(() => opened.close())

    it('refuses invalid package sets', async () => {
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

    it('accepts functions with any arguments', async () => {
      for (const head of ['{ system }', '{ ... }', '{ system ? "none", config ? { }, ... }', 'arguments']) {
        const set = await bench().file(`${head}: { hello = throw "found"; }`)
        const [found] = await bench().lookUp(set, 'hello')
        assert.deepEqual(found, { status: 'failed', message: 'error: found', lasting: true })
      }
    })

    it('passes configuration and overlays to functions that accept them', async () => {
      const both = 'config-overlays'
      const table: [head: string, given: string, body: string][] = [
        ['{ system }', '', '{ }'],
        ['{ system, ... }', '', '{ }'],
        ['{ system, ... } @ all', `${both}-system`, 'all'],
        ['all', `${both}-system`, 'all'],
        [
          '{\n  system,\n  config ? throw "impure",\n  overlays ? throw "impure",\n}',
          both,
          '{ inherit config overlays; }',
        ],
      ]
      for (const [head, given, body] of table) {
        const text = `builtins.concatStringsSep "-" (builtins.attrNames (builtins.deepSeq (${body}) (${body})))`
        const set = await bench().file(`${head}: { x.\${${text}} = 1; }`)
        const [found] = await bench().lookUp(set, 'x.y')
        assert.deepEqual(found, { status: 'missing', path: ['x'], siblings: [given] }, head)
      }
    })

    it('merges flags into a configuration file, which can be a set or a function', async () => {
      const set = await bench().file(`{ system, config ? { }, ... }: let
        given = if builtins.isFunction config then config { pkgs = "pkgs"; } else config;
      in { x.\${builtins.toJSON given} = 1; }`)
      const configFile = join(bench().folder, 'config.nix')
      for (const text of ['{ a = "pkgs"; b = 1; }', '{ pkgs, ... }: { a = pkgs; b = 1; }']) {
        await writeFile(configFile, text)
        const lookUp = {
          set: { folder: set },
          system,
          attributes: [['x', 'y']],
          configFile,
          config: { b: true },
        }
        const [found] = await bench().limited({}).evaluate(lookUp, {})
        assert.ok(found?.status === 'missing', JSON.stringify(found))
        assert.deepEqual(found.siblings, ['{"a":"pkgs","b":true}'])
      }
    })
  })
}
