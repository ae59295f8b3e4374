import assert from 'node:assert/strict'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { LookupResult, LookUp } from './evaluate.ts'
import { environmentOfNix, openBench, system, type Bench } from './testing.ts'

/** What restricted evaluation can read and what it cannot, warm and cold. */
export function describeRestriction(): void {
  describe('restricted evaluation', () => {
    const before_ = { ...process.env }
    let bench: Bench
    let secrets: string
    let count = 0
    before(async () => {
      bench = await openBench()
      secrets = join(bench.folder, 'secrets')
      await mkdir(join(secrets, 'home'), { recursive: true })
      await writeFile(join(secrets, 'key'), 'TOP-SECRET')
      await writeFile(join(secrets, 'home', 'TOP-SECRET'), '')
      await writeFile(join(secrets, 'flake.nix'), '{ outputs = _: { text = "TOP-SECRET"; }; }')
      await writeFile(join(secrets, 'overlay.nix'), 'final: prev: { overlaid = 1; }')
      await execa('git', ['init', '-q', secrets])
      await execa('git', ['-C', secrets, 'add', '-A'])
      await execa('git', [
        '-C',
        secrets,
        '-c',
        'user.name=t',
        '-c',
        'user.email=t@example.org',
        'commit',
        '-qm',
        '-',
      ])
      process.env['S3_SECRET_KEY'] = 'TOP-SECRET'
      process.env['HARMLESS_NAME'] = 'TOP-SECRET'
    })
    afterEach(() => {
      delete process.env['NIX_CONFIG']
      if (before_['NIX_CONFIG'] !== undefined) process.env['NIX_CONFIG'] = before_['NIX_CONFIG']
    })
    after(async () => {
      for (const name of ['S3_SECRET_KEY', 'HARMLESS_NAME']) delete process.env[name]
      await bench.close()
    })

    // Each is a text that contains what was found.
    const attempts = (): Record<string, string> => ({
      getEnv: 'found (builtins.getEnv "S3_SECRET_KEY" + builtins.getEnv "HARMLESS_NAME")',
      readFile: `found (builtins.readFile ${secrets}/key)`,
      readFileOfText: `found (builtins.readFile "${secrets}/key")`,
      upwards: `found (builtins.readFile (./. + "/../../..${secrets}/key"))`,
      link: 'found (builtins.readFile ./link)',
      readDir: `found (toString (builtins.attrNames (builtins.readDir ${secrets}/home)))`,
      environ: 'found (builtins.readFile "/proc/self/environ")',
      pathExists: `found (if builtins.pathExists ${secrets}/key then "TOP-SECRET" else "")`,
      copied: `found (builtins.readFile "\${${secrets}/key}")`,
      filtered: `found (builtins.readFile (builtins.filterSource (path: type: true) ${secrets} + "/key"))`,
      path: `found (builtins.readFile (builtins.path { path = ${secrets}; name = "x"; } + "/key"))`,
      hash: `found (builtins.hashFile "sha256" ${secrets}/key)`,
      imported: `found (import ${secrets}/flake.nix).outputs.text`,
      fetchurl: `found (builtins.readFile (builtins.fetchurl "file://${secrets}/key"))`,
      fetchGit: `found (builtins.readFile (builtins.fetchGit ${secrets} + "/key"))`,
      fetchGitUrl: `found (builtins.readFile (builtins.fetchGit { url = "file://${secrets}"; } + "/key"))`,
      fetchTree: `found (builtins.readFile (builtins.fetchTree { type = "path"; path = "${secrets}"; } + "/key"))`,
      getFlake: `found (builtins.getFlake "path:${secrets}").text`,
      findFile: `found (builtins.readFile (builtins.findFile [ { prefix = "x"; path = "${secrets}"; } ] "x/key"))`,
      source: `found (derivation { name = "x"; inherit system; builder = "/bin/sh"; src = ${secrets}/key; }).drvPath`,
      metadata: 'found (builtins.readFile (builtins.fetchurl "http://127.0.0.1:9/TOP-SECRET"))',
    })
    /** The options of a process apply to all kinds of access, so a few suffice for a kept process. */
    const few = new Set(['getEnv', 'pathExists', 'readFile', 'readDir', 'environ', 'fetchurl', 'getFlake'])
    const attemptsFor = (evaluator: 'warm' | 'cold') =>
      Object.entries(attempts()).filter(([name]) => evaluator === 'cold' || few.has(name))
    /** A package set in the store, as from a git source or a channel. */
    const inStore = async (body: string): Promise<string> => {
      const folder = join(bench.folder, `stored-${(count += 1)}`)
      await cp(await bench.set(body), folder, { recursive: true })
      await symlink(join(secrets, 'key'), join(folder, 'link'))
      return (await execa('nix-store', ['--add', folder], { env: await environmentOfNix() })).stdout
    }
    const look = async (
      evaluator: 'warm' | 'cold',
      lookUp: Omit<LookUp, 'system'>,
      readable: string[] = [],
    ) => {
      const lines: string[] = []
      const nix = bench.limited({ evaluator, restricted: { readable } })
      const looked = await nix.evaluate({ ...lookUp, system }, { onLine: (line) => lines.push(line) })
      return { looked, lines, warm: nix.evaluators().warm }
    }
    /** The text of an attempt becomes a name in a response: the siblings of the missing name. */
    const exposed = (all: readonly (readonly [string, string])[]) =>
      all
        .map(
          ([name, text]) =>
            `${name} = let found = builtins.unsafeDiscardStringContext; in { "<\${${text}}>" = 1; };`,
        )
        .join('\n')
    // Except in a refused URL.
    const secret = /(?<!9\/)TOP-SECRET/
    const nothing = (name: string) => ({ status: 'missing', path: [name], siblings: ['<>'] })

    for (const evaluator of ['cold', 'warm'] as const) {
      it(`reads nothing of the machine, ${evaluator}`, async () => {
        // What the operator has enabled must not open another way.
        process.env['NIX_CONFIG'] = `${before_['NIX_CONFIG'] ?? ''}\nextra-experimental-features = flakes`
        const all = attemptsFor(evaluator)
        const set = await inStore(`${exposed(all)} good = 1;`)
        const attributes = [...all.map(([name]) => [name, 'x']), ['good']]
        const { looked, lines } = await look(evaluator, { set: { folder: set }, attributes })
        assert.doesNotMatch(JSON.stringify([looked, lines]), secret)
        const seen = looked.filter(({ status }) => status !== 'failed')
        const good = { status: 'other', path: ['good'], type: 'int' }
        assert.deepEqual(seen, [nothing('getEnv'), nothing('pathExists'), good])
      })

      it(`does not break the usual sets, ${evaluator}`, async () => {
        const set = await inStore(`
          one = run "one-1" "";
          imports = import (run "made-1" "echo '\\"import\\"' > $out");
          source = derivation { name = "source-1"; inherit system; builder = "/bin/sh"; src = ./.; };
          written = import (builtins.toFile "x.nix" "1");
          other = import ./default.nix { inherit system; };
          elsewhere = builtins.readFile ${secrets}/key;
        `)
        const attributes = ['one', 'imports', 'source', 'written', 'other', 'elsewhere'].map((name) => [name])
        const overlays: string[] = []
        const given = { set: { folder: set }, attributes, overlays, revision: bench.unique }
        const { looked, warm } = await look(evaluator, given, [join(secrets, 'key')])
        const summaryOf = (found: LookupResult) => (found.status === 'other' ? found.type : found.status)
        assert.deepEqual(looked.map(summaryOf), ['package', 'string', 'package', 'int', 'packages', 'string'])
        assert.equal(warm, evaluator === 'warm' ? 1 : 0)
      })

      it(`reads nothing of the machine for a flake, ${evaluator}`, async () => {
        const folder = join(bench.folder, `flake-${evaluator}`)
        await mkdir(folder)
        const all = Object.entries(attempts()).filter(([name]) => few.has(name) || name === 'fetchTree')
        await writeFile(
          join(folder, 'flake.nix'),
          `{ outputs = { self }: { packages.${system} = let system = "${system}"; in {
            good = derivation { name = "good-1"; inherit system; builder = "/bin/sh"; src = ./.; };
            ${exposed(all)} }; }; }`,
        )
        const { url } = await bench.limited({}).lockFlake(`path:${folder}`, bench.rootOf, {})
        const attributes = [...all.map(([name]) => [name, 'x']), ['good']]
        const { looked, lines } = await look(evaluator, { set: { flake: url }, attributes, revision: url })
        assert.doesNotMatch(JSON.stringify([looked, lines]), secret)
        const seen = looked.filter(({ status }) => status !== 'failed')
        assert.deepEqual(seen.slice(0, -1), [nothing('getEnv'), nothing('pathExists')])
        assert.equal(seen.at(-1)?.status, 'package')
      })
    }
  })
}
