import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { execa } from 'execa'
import { hasCode } from '../errors.ts'
import { ended } from './process-testing.ts'
import { openBench, system, type Bench } from './testing.ts'

const path = process.env['PATH'] ?? ''

describe('evaluators', () => {
  let bench: Bench
  before(async () => {
    bench = await openBench('warm')
  })
  afterEach(() => {
    process.env['PATH'] = path
  })
  after(() => bench.close())

  /** Puts a fake `nix` first on PATH, which passes everything but the repl to the real one. */
  const replace = async (repl: string) => {
    const folder = join(bench.folder, `bin ${repl.length}`)
    await mkdir(folder)
    await writeFile(
      join(folder, 'nix'),
      `#!/bin/sh\ncase " $* " in *" repl "*) ;; *) PATH=\${PATH#*:}; exec nix "$@";; esac\n${repl}\n`,
    )
    await chmod(join(folder, 'nix'), 0o755)
    process.env['PATH'] = `${folder}${delimiter}${path}`
  }

  it('evaluates cold if a process fails', async () => {
    const set = await bench.set('good = 1;')
    const mark = String.raw`mark=$(printf %s "$line" | sed 's/^answer "\([^"]*\)".*/\1/')`
    const reading = (answer: string) =>
      `while read -r line; do case $line in "answer \\""*) ${mark}; ${answer};; esac; done`
    const answer = (text: string) => `printf '"<%s>%s</%s>"\\nend of %s\\n' "$mark" '${text}' "$mark" "$mark"`
    const faults: [what: string, repl: string, dies: boolean][] = [
      ['does not start', 'exit 1', true],
      ['exits at once', 'read -r line; exit 0', true],
      ['prints nothing useful', reading('echo "end of $mark"'), false],
      ['prints invalid JSON', reading(answer('{')), true],
      ['prints JSON that is not an answer', reading(answer('{}')), true],
      ['prints too few answers', reading(answer(String.raw`{\"results\":[],\"siblings\":{}}`)), true],
      ['is cut off', reading(`printf '"<%s>{\\nend of %s\\n' "$mark" "$mark"`), true],
    ]
    for (const [what, repl, dies] of faults) {
      await replace(repl)
      const nix = bench.limited({})
      const lookUp = { set: { folder: set }, system, attributes: [['good']] }
      for (let attempt = 1; attempt <= 2; attempt += 1) {
        const looked = await nix.evaluate(lookUp, {})
        assert.deepEqual(looked, [{ status: 'other', path: ['good'], type: 'int' }], what)
        const { cold, warm, processes } = nix.evaluators()
        assert.deepEqual({ cold, warm }, { cold: attempt, warm: 0 }, what)
        if (dies) assert.deepEqual(processes, [], what)
      }
    }
  })

  it('still finds names if its folder is not writable', async () => {
    const set = await bench.set('good = 1;')
    await writeFile(join(bench.folder, 'no folder'), '')
    const nix = bench.limited({ rootsDirectory: join(bench.folder, 'no folder', 'roots') })
    const [good] = await nix.evaluate({ set: { folder: set }, system, attributes: [['good']] }, {})
    assert.deepEqual(good, { status: 'other', path: ['good'], type: 'int' })
  })

  it('limits the number of waiting evaluations', async () => {
    const set = await bench.set('good = 1;')
    const nix = bench.limited({})
    const lookUp = { set: { folder: set }, system, attributes: [['good']] }
    const all = await Promise.allSettled(Array.from({ length: 300 }, () => nix.evaluate(lookUp, {})))
    const refused = all.filter((one) => one.status === 'rejected' && hasCode(one.reason, 'OVERLOADED'))
    assert.equal(refused.length, 300 - 256)
    assert.equal((await nix.evaluate(lookUp, {})).length, 1)
  })

  it('keeps no record of requests', async () => {
    const set = await bench.set('good = 1;')
    await bench.lookUp(set, 'good')
    const home = join(bench.folder, 'evaluators')
    const names = await readdir(home, { recursive: true })
    assert.deepEqual(names.sort(), ['nix', 'nix/repl-history'])
    assert.equal(await readFile(join(home, 'nix/repl-history'), 'utf8'), '')
  })

  it('distinguishes configurations and overlays', async () => {
    const overlay = join(bench.folder, 'overlay.nix')
    await writeFile(overlay, 'final: previous: { good = "text"; }')
    const folder = await bench.file(`{ system, config ? { }, overlays ? [ ] }:
      { good = if config.allowUnfree or false then null else 1; }
      // builtins.foldl' (all: overlay: all // overlay all all) { } overlays`)
    const nix = bench.limited({})
    const ask = async (policy: object, name: string) => {
      const lookUp = { set: { folder }, system: name, attributes: [['good']], ...policy }
      const [found] = await nix.evaluate(lookUp, {})
      return found?.status === 'other' ? found.type : assert.fail(JSON.stringify(found))
    }
    for (let round = 0; round < 2; round += 1) {
      assert.equal(await ask({}, system), 'int')
      assert.equal(await ask({ config: { allowUnfree: true } }, system), 'null')
      assert.equal(await ask({ overlays: [overlay] }, system), 'string')
      assert.equal(await ask({}, 'another-system'), 'int')
    }
    const { warm, cold, started } = nix.evaluators()
    assert.deepEqual({ warm, cold, started }, { warm: 8, cold: 0, started: 4 })
  })

  it('evaluates packages of a flake', async () => {
    const folder = join(bench.folder, 'flake')
    await mkdir(folder)
    await writeFile(
      join(folder, 'flake.nix'),
      `{ outputs = { self }: { packages.${system}.hello = derivation {
        name = "hello-1"; system = "${system}"; builder = "/bin/sh"; unique = "${bench.unique}"; }; }; }`,
    )
    const nix = bench.limited({})
    const locked = await nix.lockFlake(`path:${folder}`, bench.rootOf, {})
    const lookUp = { set: { flake: locked.url }, system, attributes: [['hello']] }
    const warm = await nix.evaluate(lookUp, {})
    assert.equal(warm[0]?.status, 'package')
    assert.equal(nix.evaluators().warm, 1)
    assert.deepEqual(await bench.limited({ evaluator: 'cold' }).evaluate(lookUp, {}), warm)
  })

  it('leaves no process behind when this program is killed', async () => {
    const set = await bench.set('good = 1;')
    const env = { TMPDIR: bench.folder }
    const testing = pathToFileURL(join(import.meta.dirname, 'testing.ts')).href
    const program = `
      import { openBench } from ${JSON.stringify(testing)}
      const bench = await openBench('warm')
      await bench.lookUp(${JSON.stringify(set)}, 'good')
      console.log(bench.nix.evaluators().processes[0].pid)
      setInterval(() => {}, 1000)`
    const child = execa('node', ['--input-type=module', '-e', program], { reject: false, env })
    let pid = 0
    for await (const line of child) {
      pid = Number(line)
      child.kill('SIGKILL')
    }
    assert.ok(pid > 0)
    await ended(pid)
  })

  it('does not keep this program from ending', async () => {
    const set = await bench.set('good = 1;')
    const env = { TMPDIR: bench.folder }
    const testing = pathToFileURL(join(import.meta.dirname, 'testing.ts')).href
    const program = `
      import { openBench } from ${JSON.stringify(testing)}
      const bench = await openBench('warm')
      await bench.lookUp(${JSON.stringify(set)}, 'good')
      console.log(bench.nix.evaluators().processes[0].pid)`
    const { stdout } = await execa('node', ['--input-type=module', '-e', program], { env })
    await ended(Number(stdout))
  })
})
