import assert from 'node:assert/strict'
import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import fc from 'fast-check'
import { until } from '../../test/support/until.ts'
import type { StorePath } from '../image/store-path.ts'
import type { LookUp, LookupResult } from './evaluate.ts'
import { createEvaluators, type EvaluatorsOptions } from './evaluators.ts'
import type { Nix } from './nix.ts'
import { ended } from './process-testing.ts'
import { environmentOfNix, failsWith, openBench, system, type Bench } from './testing.ts'
import { anyString } from '../text/testing.ts'

/** What kept processes must do besides evaluating, which `describeEvaluation` tests. */
export function describeEvaluators(): void {
  describe('evaluators', () => {
    let bench: Bench
    let nix: Nix
    before(async () => {
      bench = await openBench('warm')
      nix = bench.limited({})
    })
    after(() => bench.close())

    const lookUp = (folder: string, ...names: string[]): LookUp => ({
      set: { folder },
      system,
      attributes: names.map((name) => name.split('.')),
    })
    const pidOf = (state = nix.evaluators()): number => {
      const process = state.processes.at(-1)
      return process ? process.pid : assert.fail('there is no process')
    }
    const counted = () => {
      const { warm, cold, restarted } = nix.evaluators()
      return { warm, cold, restarted }
    }
    /** What was counted since. */
    const since = (then: ReturnType<typeof counted>) => {
      const now = counted()
      return {
        warm: now.warm - then.warm,
        cold: now.cold - then.cold,
        restarted: now.restarted - then.restarted,
      }
    }

    it('looks names up with one process, and instantiates derivations', async () => {
      const set = await bench.set('one = run "one-1" ""; two = run "two-1" ""; broken = throw "broken";')
      const initial = counted()
      const [one] = await nix.evaluate(lookUp(set, 'one'), {})
      const pid = pidOf()
      const [two, none] = await nix.evaluate(lookUp(set, 'two', 'none'), {})
      assert.deepEqual(since(initial), { warm: 2, cold: 0, restarted: 0 })
      for (const found of [one, two]) await access(drvOf(found))
      assert.deepEqual(none, { status: 'missing', path: [], siblings: ['broken', 'one', 'two'] })

      const [, broken] = await nix.evaluate(lookUp(set, 'one', 'broken'), {})
      assert.deepEqual(broken, { status: 'failed', message: 'error: broken', lasting: true })
      assert.deepEqual(since(initial), { warm: 2, cold: 1, restarted: 0 })
      const state = nix.evaluators().processes.at(-1)
      assert.ok(state && state.memory > 1e6)
      const { pid: same, requests, revision } = state
      assert.deepEqual({ pid: same, requests, revision }, { pid, requests: 3, revision: bench.unique })
    })

    it('treats names as data, even those with a meaning in Nix or the line editor', async () => {
      const sampled = fc.sample(anyString({ minLength: 1 }), 300)
      const control = Array.from({ length: 31 }, (_, index) => String.fromCharCode(index + 1))
      const nasty = [
        ':q',
        '\n:q\n',
        '"',
        '"; :q',
        '${',
        '$${',
        '\\${',
        "''",
        '\\',
        '\\"',
        '\u007f',
        '\u2028',
        '#',
        '}',
      ]
      const names = [...new Set([...nasty, ...control, ...sampled, 'x'.repeat(100_000)])].filter(
        (name) => name.isWellFormed() && !name.includes('\0'), // no string of Nix
      )
      const folder = join(bench.folder, 'names')
      await mkdir(folder)
      await writeFile(join(folder, 'names.json'), JSON.stringify(names))
      await writeFile(
        join(folder, 'default.nix'),
        `{ system }: with builtins;
        listToAttrs (map (name: { inherit name; value = 1; }) (fromJSON (readFile ./names.json)))`,
      )
      const initial = counted()
      const attributes = names.map((name) => [name])
      const looked = await nix.evaluate({ ...lookUp(folder), attributes }, {})
      assert.deepEqual(
        looked,
        names.map((name) => ({ status: 'other', path: [name], type: 'int' })),
      )
      const [missing] = await nix.evaluate(lookUp(folder, '-'), {})
      assert.ok(missing?.status === 'missing')
      assert.deepEqual([...missing.siblings].sort(), [...names].sort())
      assert.deepEqual(since(initial), { warm: 2, cold: 0, restarted: 0 })
    })

    it('still finds names when its process is killed in the middle of a request', async () => {
      const set = await bench.set(`
        good = run "good-1" "";
        slow = import (run "slow-1" "/bin/sleep 1; echo 3 > $out");`)
      const initial = counted()
      let killed: number | undefined
      const onLine = (line: string) => {
        if (killed !== undefined || !line.startsWith('building')) return
        killed = pidOf()
        process.kill(killed, 'SIGKILL')
      }
      const looked = await nix.evaluate(lookUp(set, 'slow', 'good'), { onLine })
      assert.ok(killed)
      assert.deepEqual(looked[0], { status: 'other', path: ['slow'], type: 'int' })
      await access(drvOf(looked[1]))
      assert.deepEqual(since(initial), { warm: 0, cold: 1, restarted: 0 })

      assert.deepEqual(await nix.evaluate(lookUp(set, 'slow', 'good'), {}), looked)
      assert.deepEqual(since(initial), { warm: 1, cold: 1, restarted: 1 })
      process.kill(pidOf(), 'SIGKILL') // while it is idle
      for (let attempt = 0; attempt < 2; attempt += 1)
        assert.deepEqual(await nix.evaluate(lookUp(set, 'slow', 'good'), {}), looked)
      assert.equal(since(initial).restarted, 2)
    })

    it("never returns another caller's results", async () => {
      const set = await bench.set(`
        one = run "one-2" ""; two = run "two-2" ""; three = 3;
        slow = import (run "slow-2" "/bin/sleep 2; echo 3 > $out");`)
      const abort = new AbortController()
      const leaving = nix.evaluate(lookUp(set, 'slow'), {
        signal: abort.signal,
        onLine: () => abort.abort(),
      })
      const names = ['one', 'two', 'three', 'none', 'two', 'one']
      const all = Promise.all(names.map((name) => nix.evaluate(lookUp(set, name), {})))
      await assert.rejects(leaving, failsWith('CANCELLED'))
      const foundNames = (await all).map(([found]) =>
        found?.status === 'package' ? found.pname : found?.status,
      )
      assert.deepEqual(foundNames, ['one', 'two', 'other', 'missing', 'two', 'one'])
    })

    it('ends late evaluations, and continues', async () => {
      const set = await bench.set('good = 1; slow = import (run "slow-3" "/bin/sleep 60");')
      const short = bench.limited({ evalTimeout: 1 })
      let pid = 0
      const onLine = () => (pid ||= short.evaluators().processes.at(-1)?.pid ?? 0)
      await assert.rejects(short.evaluate(lookUp(set, 'slow'), { onLine }), failsWith('EVALUATION_TIMEOUT'))
      if (pid !== 0) await ended(pid) // 0: it was late before it built anything
      const again = () => short.evaluate(lookUp(set, 'good'), {}).catch(() => [])
      await until(async () => (await again())[0]?.status === 'other')
      assert.notEqual(pidOf(short.evaluators()), pid)
    })

    it('ends evaluations that use too much memory, warm or cold', async () => {
      const set = await bench.set(`
        good = 1;
        big = builtins.deepSeq (builtins.genList (n: builtins.genList (m: n + m) 1000) 1000000) 1;`)
      for (const evaluator of ['warm', 'cold'] as const) {
        const small = bench.limited({ evaluator, evalMemory: 600 })
        await assert.rejects(
          small.evaluate(lookUp(set, 'big'), {}),
          failsWith('BUILD_FAILED', /^evaluation used more than 300 MB of memory$/),
        )
        assert.equal((await small.evaluate(lookUp(set, 'good'), {}))[0]?.status, 'other')
      }
    })

    it('recreates derivations that the garbage collector has removed, after `forget`', async () => {
      const set = await bench.set('gone = run "gone-1" "echo > $out";')
      const [found] = await nix.evaluate(lookUp(set, 'gone'), {})
      const pid = pidOf()
      const drvPath = drvOf(found)
      const remove = () => execa('nix-store', ['--delete', drvPath], { reject: false })
      assert.match((await remove()).stderr, /still alive/) // Nix keeps what a running process has created
      await rm(`/nix/var/nix/temproots/${pid}`)
      await remove()
      await assert.rejects(access(drvPath))
      nix.forget(bench.unique)
      assert.deepEqual(await nix.evaluate(lookUp(set, 'gone'), {}), [found])
      await access(drvPath)
      assert.notEqual(pidOf(), pid)
    })

    describe('are replaced', () => {
      const using = async (
        options: Partial<EvaluatorsOptions>,
        use: (ask: (folder: string, revision?: string) => Promise<number[]>) => Promise<void>,
      ) => {
        const environment = await environmentOfNix('evaluate')
        const home = join(bench.folder, 'evaluators')
        const usual = { evaluator: 'warm', concurrency: 2, memory: 4e9, mostKept: Infinity } as const
        const given = { ...usual, home, ...options }
        const evaluators = createEvaluators(given)
        try {
          await use(async (folder, revision = '1') => {
            const goodLookUp = { ...lookUp(folder, 'good'), revision }
            const [good] = await evaluators.evaluate(goodLookUp, { environment, timeout: 60_000 })
            assert.deepEqual(good, { status: 'other', path: ['good'], type: 'int' })
            return evaluators.state().processes.map(({ pid }) => pid)
          })
        } finally {
          await evaluators.close()
        }
      }

      it('after a number of requests, when they have grown, and when they are idle', async () => {
        const set = await bench.set('good = 1;')
        const pids: number[] = []
        await using({ mostRequests: 2 }, async (ask) => {
          for (let attempt = 0; attempt < 4; attempt += 1) pids.push(...(await ask(set)))
        })
        assert.equal(new Set(pids).size, 2) // the second and the fourth end theirs
        await using({ mostKept: 1000 }, async (ask) => assert.deepEqual(await ask(set), []))
        await using({ mostIdle: 1 }, async (ask) => {
          for (const pid of await ask(set)) await ended(pid)
        })
      })

      it('when the package set changes, and are limited in number', async () => {
        const sets = await Promise.all(Array.from({ length: 6 }, () => bench.set('good = 1;')))
        await using({}, async (ask) => {
          const [first] = sets
          assert.ok(first !== undefined)
          const [pid] = await ask(first, '1')
          const [next] = await ask(first, '2')
          assert.ok(pid !== undefined && next !== undefined && pid !== next)
          for (const set of sets) assert.ok((await ask(set)).length <= 4)
          await Promise.all([ended(pid), ended(next)])
        })
      })
    })
  })
}

function drvOf(found: LookupResult | undefined): StorePath {
  return found?.status === 'package' ? found.drvPath : assert.fail(JSON.stringify(found))
}
