import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { PackageSource } from './source.ts'
import { withEvaluationInputs, type EvaluationInputs } from './evaluation-inputs.ts'

let folder: string
const at = (name: string) => join(folder, name)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-around-'))
  await mkdir(at('set'))
  await mkdir(at('overlay'))
  await writeFile(at('set/default.nix'), '{ system, ... }: import <nixpkgs> { inherit system; }')
  await writeFile(at('overlay.nix'), 'final: prev: { }')
  await writeFile(at('overlay/default.nix'), 'import ./more.nix')
  await writeFile(at('overlay/more.nix'), 'final: prev: { }')
  await mkdir(at('one'))
  await mkdir(at('two'))
  await symlink('one', at('nixpkgs'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Its own revision never changes. */
const plain = (): PackageSource => ({
  description: 'a set',
  usable: () => Promise.resolve(),
  tags: () => Promise.resolve(['latest']),
  pin: () =>
    Promise.resolve({
      set: { folder: at('set') },
      revision: 'plain',
      unchanged: () => Promise.resolve(true),
    }),
})
const around = (options: Partial<EvaluationInputs> = {}) =>
  withEvaluationInputs(plain(), { paths: [], unwatched: false, fresh: 0, stale: 0, ...options })
const revisionOf = async (source: PackageSource) => (await source.pin('latest')).revision

describe('withSurroundings', () => {
  it('changes nothing if there is nothing to watch', async () => {
    assert.equal(await revisionOf(around()), 'plain')
  })

  const changes: Record<string, [path: string, change: () => Promise<unknown>]> = {
    'an overlay': ['overlay.nix', () => writeFile(at('overlay.nix'), 'final: prev: { a = 1; }')],
    "the contents of an overlay's folder": [
      'overlay',
      () => writeFile(at('overlay/more.nix'), 'final: prev: 1'),
    ],
    'the target of a link in NIX_PATH': [
      'nixpkgs',
      async () => {
        await symlink('two', at('new'))
        await writeFile(at('two/default.nix'), '')
        await rename(at('new'), at('nixpkgs'))
      },
    ],
    'the contents of a folder in NIX_PATH': ['nixpkgs', () => writeFile(at('one/default.nix'), '{ }')],
    'a new file': ['later.nix', () => writeFile(at('later.nix'), '')],
  }
  for (const [what, [path, change]] of Object.entries(changes)) {
    it(`sees ${what} change`, async () => {
      const source = around({ paths: [at(path)] })
      const pinned = await source.pin('latest')
      assert.equal(await pinned.unchanged(), true)
      assert.equal(await revisionOf(around({ paths: [at(path)] })), pinned.revision)
      await change()
      assert.equal(await pinned.unchanged(), false)
      assert.notEqual(await revisionOf(source), pinned.revision)
    })
  }

  it('identifies a file by its contents', async () => {
    const before = await revisionOf(around({ paths: [at('overlay.nix')] }))
    await writeFile(at('overlay.nix'), 'final: prev: { }')
    assert.equal(await revisionOf(around({ paths: [at('overlay.nix')] })), before)
  })

  it('returns an old result immediately to callers that accept it', async () => {
    const source = around({ paths: [at('overlay.nix')], stale: 3_600_000 })
    const before = await revisionOf(source)
    await writeFile(at('overlay.nix'), 'final: prev: { a = 1; }')
    assert.equal((await source.pin('latest', { old: true })).revision, before)
    assert.notEqual(await revisionOf(source), before)
  })

  it('checks the set again after returning an old result, and not before', async () => {
    const source = around({ stale: 3_600_000 })
    assert.equal(await revisionOf(source), 'plain')
    await writeFile(at('set/default.nix'), 'import ../elsewhere')
    const old = async () => (await source.pin('latest', { old: true })).revision
    assert.equal(await old(), 'plain')
    while ((await old()) === 'plain') await setImmediate()
    assert.notEqual(await revisionOf(source), 'plain')
  })

  it('returns the pinned set without a check, unless one is due', async () => {
    const pinned = await plain().pin('latest')
    const inner: PackageSource = { ...plain(), pin: () => Promise.resolve(pinned), current: () => pinned }
    for (const paths of [[], [at('overlay.nix')]]) {
      const options = { paths, unwatched: false, fresh: 3_600_000, stale: 0 }
      const source = withEvaluationInputs(inner, options)
      assert.equal(source.current?.('latest'), undefined, 'nothing was looked at')
      const found = await source.pin('latest', { old: true })
      assert.equal(source.current?.('latest'), found)
      const impatient = withEvaluationInputs(inner, { ...options, fresh: -1 })
      await impatient.pin('latest')
      assert.equal(impatient.current?.('latest'), undefined)
      assert.equal(withEvaluationInputs(plain(), options).current?.('latest'), undefined)
    }
  })

  it('does not check the set again for a fresh result', async () => {
    let state = 'one'
    const pin = async () => ({ ...(await plain().pin('latest')), state })
    const options = { paths: [], unwatched: false, fresh: 3_600_000, stale: 0 }
    const source = withEvaluationInputs({ ...plain(), pin }, options)
    assert.equal(await revisionOf(source), 'plain')
    await writeFile(at('set/default.nix'), 'import ../elsewhere')
    assert.equal(await revisionOf(source), 'plain')
    state = 'two'
    assert.notEqual(await revisionOf(source), 'plain', 'another state is looked at')
  })

  it('has new revisions after each start if something cannot be watched', async () => {
    assert.match(await revisionOf(around({ unwatched: true })), /^plain\+[0-9a-f]{64}$/)
    const table: [text: string, unwatched: boolean][] = [
      ['import (fetchTarball "https://example.org/nixos-unstable.tar.gz")', true],
      ['builtins.getFlake "github:NixOS/nixpkgs"', true],
      ['import ../elsewhere', true],
      ['import (/srv/packages)', true],
      ['builtins.readFile /etc/os-release', true],
      ['# import ../elsewhere\nimport ./here', false],
      ['derivation { builder = "/bin/sh"; args = [ "-c" "cat ../x" ]; }', false],
      ['import <nixpkgs>', false],
    ]
    for (const [text, unwatched] of table) {
      await writeFile(at('set/default.nix'), text)
      assert.equal((await revisionOf(around())) !== 'plain', unwatched, text)
    }
  })

  it('gives overlays that read other files new revisions after each start', async () => {
    // Another start of the server has another random value.
    const module = './evaluation-inputs.ts?another-start'
    const { withEvaluationInputs: another } = (await import(module)) as {
      withEvaluationInputs: typeof withEvaluationInputs
    }
    const options = { paths: [at('overlay.nix'), at('overlay')], unwatched: false, fresh: 0, stale: 0 }
    const table: [path: string, text: string, isStable: boolean][] = [
      ['overlay.nix', 'final: prev: { a = prev.a.override { b = 1; }; c = 4 / 2; } // { }', true],
      ['overlay.nix', '# import ./versions.nix\nfinal: prev: { }', true],
      ['overlay.nix', 'final: prev: { version = import ./versions.nix; }', false],
      ['overlay.nix', 'final: prev: { patches = [../fix.patch]; }', false],
      ['overlay.nix', 'import /srv/overlay.nix', false],
      ['overlay.nix', 'final: prev: { version = builtins.getEnv "VERSION"; }', false],
      ['overlay/default.nix', 'import ./more.nix', true],
      ['overlay/default.nix', 'import ../more.nix', false],
    ]
    for (const [path, text, isStable] of table) {
      await writeFile(at('overlay.nix'), 'final: prev: { }')
      await writeFile(at(path), text)
      const revision = await revisionOf(withEvaluationInputs(plain(), options))
      assert.equal((await revisionOf(another(plain(), options))) === revision, isStable, text)
    }
  })
})
