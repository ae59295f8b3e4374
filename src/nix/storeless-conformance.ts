import assert from 'node:assert/strict'
import { access, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { execa } from 'execa'
import { evaluateStoreless } from './storeless.ts'
import type { NixOptions } from './options.ts'
import { DerivationGone } from './realise.ts'
import { system, wantedOf, type Bench } from './testing.ts'

/** Evaluation that does not write to the Nix store, and how it finds out that a set needs one. */
export function describeStoreless(bench: () => Bench): void {
  const opened = (evaluator: 'cold' | 'warm', restricted?: NixOptions['restricted']) => {
    const nix = bench().limited({ evaluator, restricted })
    const notes: string[] = []
    const storeless = evaluateStoreless(nix, 'the Nix store', (line) => notes.push(line))
    const lookUp = (folder: string, ...names: string[]) =>
      storeless.evaluate(
        { set: { folder }, revision: folder, system, attributes: names.map((name) => [name]) },
        {},
      )
    return { nix, notes, storeless, lookUp }
  }
  const isThere = (path = '') =>
    access(path).then(
      () => true,
      () => false,
    )
  const stores = () => readdir(join(bench().folder, 'evaluators', 'stores'))

  describe('evaluation without the Nix store', () => {
    it('gives the same derivations and writes none', async () => {
      const set = await bench().set(`
        plain = run "plain-1" "echo > $out";
        file = run "file-1" "echo \${builtins.toFile "text" unique} > $out";
        path = run "path-1" "echo \${./default.nix} > $out";
        filtered = run "filtered-1" "echo \${builtins.path { path = ./default.nix; name = "x"; }} > $out";
        images.one = { packages = [ "plain" ]; files = [ { path = "/etc/x"; source = plain; } ]; };`)
      const names = ['plain', 'file', 'path', 'filtered', 'none']
      const { nix, notes, storeless, lookUp } = opened('warm', { readable: [] })
      await lookUp(set, 'plain')
      const looked = await lookUp(set, ...names)
      const image = { set: { folder: set }, system, image: 'one' }
      const found = await storeless.evaluateImage(image, {})
      const { versions } = await storeless.listVersions({ set: { folder: set }, system }, {})
      const [first, ...others] = looked.slice(0, 4).flatMap(wantedOf)
      assert.ok(first && others.length === 3)
      for (const { drvPath } of [first, ...others]) assert.equal(await isThere(drvPath), false)
      assert.deepEqual(notes, ['evaluation writes nothing to the Nix store'])
      assert.equal(nix.evaluators().warm, 1)

      // Nix, which has to build one of them, says so, and then it is there.
      const realised = () => nix.withRealised([first], {}, async () => 'used')
      await assert.rejects(realised, (error) => error instanceof DerivationGone)
      const withStore = { set: { folder: set }, system, attributes: names.map((name) => [name]) }
      assert.deepEqual(await storeless.evaluate({ ...withStore, instantiated: true }, {}), looked)
      assert.equal(await isThere(first.drvPath), true)
      assert.equal(await realised(), 'used')
      assert.deepEqual(await storeless.evaluateImage({ ...image, instantiated: true }, {}), found)
      assert.deepEqual((await nix.listVersions({ set: { folder: set }, system }, {})).versions, versions)
      // What is valid needs no derivation.
      await execa('nix-store', ['--delete', '--ignore-liveness', first.drvPath ?? ''])
      assert.equal(await realised(), 'used')
      await nix.close()
      assert.deepEqual(await stores(), [])
    })

    it('uses the store for a set that needs one, from then on', async () => {
      const archive = join(bench().folder, 'archive')
      await mkdir(archive)
      await writeFile(join(archive, 'text'), bench().unique)
      await execa('tar', ['-czf', `${archive}.tar.gz`, '-C', bench().folder, 'archive'])
      const needs: [what: string, body: string, reason: RegExp][] = [
        ['imports from a derivation', 'import (run "built-1" "echo 1 > $out")', /\.drv' is not valid/],
        ['fetches', `builtins.readFile "\${fetchTarball "file://${archive}.tar.gz"}/text"`, /addToStore/],
      ]
      for (const [what, value, reason] of needs) {
        const set = await bench().set(`
          plain = run "plain-1" ""; needy = run "needy-1" (builtins.unsafeDiscardStringContext (toString (${value})));`)
        const { notes, lookUp } = opened(what.startsWith('imports') ? 'warm' : 'cold')
        const [found] = await lookUp(set, 'needy')
        assert.equal(found?.status, 'package', `${what}: ${JSON.stringify(found)}`)
        const [note = ''] = notes
        assert.match(note, /^evaluation needs a store, and writes to the Nix store from now on: /, what)
        assert.match(note, reason)
        // From then on, it is not tried without.
        const [plain] = await lookUp(set, 'plain')
        assert.ok(plain?.status === 'package' && (await isThere(plain.drvPath)))
        assert.equal(notes.length, 1)
      }
    })
  })
}
