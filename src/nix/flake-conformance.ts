import assert from 'node:assert/strict'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { execa } from 'execa'
import { environmentOfNix, system, type Bench } from './testing.ts'

/** A locked flake is evaluated from the store alone. */
export function describeFlakes(bench: () => Bench): void {
  it('reads a locked flake and its inputs from the store, as the repository has it', async () => {
    const folder = join(bench().folder, 'flakes')
    const git = (repository: string, ...args: string[]) =>
      execa('git', ['-C', join(folder, repository), '-c', 'user.name=t', '-c', 'user.email=t@e.org', ...args])
    const environment = await environmentOfNix('fetch')
    const commit = async (repository: string, sub: string, flake: string) => {
      await mkdir(join(folder, repository, sub), { recursive: true })
      await writeFile(join(folder, repository, sub, 'flake.nix'), flake)
      await git(repository, 'init', '--quiet')
      await git(repository, 'add', '-A')
      const features = ['--extra-experimental-features', 'nix-command flakes']
      const reference = `git+file://${folder}/${repository}${sub === '.' ? '' : `?dir=${sub}`}`
      await execa('nix', [...features, 'flake', 'lock', reference], { env: environment })
      await git(repository, 'add', '-A')
      await git(repository, 'commit', '--quiet', '--message=commit')
      return (await git(repository, 'rev-parse', 'HEAD')).stdout
    }
    const outputs = `packages.${system} = {
      \${input.text} = 1; \${self.rev} = 1; "\${toString self.revCount}" = 1;
      good = derivation { name = "good-1"; system = "${system}"; builder = "/bin/sh"; src = ./.; }; };`
    const inputs = `inputs.input.url = "git+file://${folder}/input";`
    await commit('input', '.', '{ outputs = { self }: { text = "input"; }; }')
    const rev = await commit('set', '.', `{ ${inputs} outputs = { self, input }: { ${outputs} }; }`)
    await commit('deep', 'sub', `{ ${inputs} outputs = { self, input }: { ${outputs} }; }`)
    const lock = (name: string) => bench().nix.lockFlake(`git+file://${folder}/${name}`, bench().rootOf, {})
    const look = async (evaluator: 'cold' | 'warm', { url }: { readonly url: string }) => {
      const nix = bench().limited({ evaluator, restricted: { readable: [] } })
      const lookUp = { set: { flake: url }, system, attributes: [['good'], ['none']], revision: url }
      const [good, none] = await nix.evaluate(lookUp, {})
      assert.equal(good?.status, 'package', JSON.stringify(good))
      return none?.status === 'missing' ? [...none.siblings].sort() : none
    }
    const [set, deep] = [await lock('set'), await lock('deep?dir=sub')]
    assert.deepEqual(
      [set.revision, set.paths.length, set.warning, deep.warning],
      [rev, 2, undefined, undefined],
    )
    await look('cold', deep)
    await rename(folder, `${folder}-away`)
    for (const evaluator of ['cold', 'warm'] as const) {
      assert.deepEqual(await look(evaluator, set), ['1', 'good', 'input', rev].sort())
    }
  })
}
