import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openBench, system, type Bench } from './testing.ts'

describe('the packages of a set', () => {
  let bench: Bench
  before(async () => {
    bench = await openBench()
  })
  after(() => bench.close())

  const few = Array.from({ length: 60 }, (_, index) => `p${String(index).padStart(2, '0')}`)
  const list = async (
    bad: (index: number) => string | undefined,
    limits: Parameters<Bench['limited']>[0] = {},
    names = few,
  ) => {
    const bodies = names.map((name, index) => `${name} = ${bad(index) ?? `package "${name}-1"`};`)
    const folder = await bench.set(`
      package = name: derivation { inherit name system unique; builder = "/bin/sh"; args = [ ]; };
      ${bodies.join('\n')}`)
    const { versions, failed } = await bench.limited(limits).listVersions({ set: { folder }, system }, {})
    return {
      listed: versions.map(({ attribute }) => attribute).filter((name) => names.includes(name)),
      failed,
    }
  }

  it('are listed, however many of them abort the evaluation', async () => {
    const names = Array.from({ length: 900 }, (_, index) => `p${String(index).padStart(3, '0')}`)
    const isBad = (index: number) => index % 3 !== 0
    const { listed, failed } = await list((index) => (isBad(index) ? 'abort "no"' : undefined), {}, names)
    assert.deepEqual(
      listed.toSorted(),
      names.filter((_, index) => !isBad(index)),
    )
    assert.deepEqual(
      failed.toSorted(),
      names.filter((_, index) => isBad(index)),
    )
  })

  it('are listed, however they fail, with what a set has besides failing packages', async () => {
    const folder = await bench.set(`
      package = name: derivation { inherit name system unique; builder = "/bin/sh"; args = [ ]; };
      absent = import ./absent.nix;
      cycle = cycle;
      deep = let grow = n: 1 + grow (n + 1); in grow 0;
      good = package "good-1";
      inner = {
        recurseForDerivations = true;
        absent = import ./absent.nix;
        argument = ({ x }: x) { };
        good = package "inner-2";
        more = { recurseForDerivations = true; bad = abort "no"; good = package "more-3"; };
      };
      last = package "last-4";
      throws = throw "caught";`)
    const { versions, failed } = await bench.nix.listVersions({ set: { folder }, system }, {})
    assert.deepEqual(versions.map(({ attribute, version }) => `${attribute} ${version}`).toSorted(), [
      'good 1',
      'inner.good 2',
      'inner.more.good 3',
      'last 4',
    ])
    assert.deepEqual(failed.toSorted(), [
      'absent',
      'cycle',
      'deep',
      'inner.absent',
      'inner.argument',
      'inner.more.bad',
    ])
  })

  it('are listed if one prints which name is being evaluated', async () => {
    const { listed, failed } = await list((index) =>
      index === 7 ? 'builtins.trace "nixery-place 999" (abort "no")' : undefined,
    )
    assert.equal(listed.length, 59)
    assert.deepEqual(failed, ['p07'])
  })

  it('are listed if no process can be kept', async () => {
    await writeFile(join(bench.folder, 'no folder'), '')
    const { listed, failed } = await list((index) => (index % 20 === 7 ? 'abort "no"' : undefined), {
      rootsDirectory: join(bench.folder, 'no folder', 'roots'),
    })
    assert.equal(listed.length, 57)
    assert.deepEqual(failed.toSorted(), ['p07', 'p27', 'p47'])
  })

  it('are listed from a locked flake', async () => {
    const folder = join(bench.folder, 'flake')
    await mkdir(folder)
    await writeFile(
      join(folder, 'flake.nix'),
      `{ outputs = _: let package = name: derivation { inherit name; system = "${system}"; builder = "/bin/sh"; }; in {
        legacyPackages.${system} = { bad = abort "no"; good = package "good-1"; last = package "last-2"; };
      }; }`,
    )
    const nix = bench.limited({ restricted: { readable: [] } })
    const { url } = await nix.lockFlake(`path:${folder}`, bench.rootOf, {})
    for (const storeless of [false, true]) {
      const { versions, failed } = await nix.listVersions({ set: { flake: url }, system, storeless }, {})
      assert.deepEqual(
        versions.map(({ attribute }) => attribute),
        ['good', 'last'],
      )
      assert.deepEqual(failed, ['bad'])
    }
  })

  it('are listed without the meta that cannot be evaluated', async () => {
    const folder = await bench.set(`
      described = meta: derivation { name = "tool-1"; inherit system unique; builder = "/bin/sh"; args = [ ]; } // { inherit meta; };
      good = described { description = "good"; };
      poor = described { description = abort "no"; };`)
    const found: string[] = []
    const { failed } = await bench.nix.listVersions(
      { set: { folder }, system },
      {},
      {
        memory: 1e9,
        timeout: 60_000,
        skip: () => false,
        onPart: (packages) =>
          void found.push(...packages.map(({ attribute, description }) => `${attribute}: ${description}`)),
      },
    )
    assert.deepEqual(failed, [])
    assert.deepEqual(found.toSorted(), ['good: good', 'poor: undefined'])
  })

  it('are listed without one that exceeds the memory limit of an evaluation', async () => {
    const greedy = 'builtins.deepSeq (builtins.genList (n: builtins.genList (m: n + m) 1000) 1000000) null'
    const { listed, failed } = await list((index) => (index === 7 ? greedy : undefined), { evalMemory: 600 })
    assert.equal(listed.length, 59)
    assert.deepEqual(failed, ['p07'])
  })
})
