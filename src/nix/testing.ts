import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { platforms } from '../image/platform.ts'
import type { StorePath } from '../image/store-path.ts'
import { environmentFor, type Environment, type Purpose } from './environment.ts'
import type { Looked } from './evaluate.ts'
import { createNix, type Nix, type NixOptions } from './nix.ts'
import type { Wanted } from './realise.ts'
import { nixSettings } from './settings.ts'

/** A Nix, and a folder for package sets. */
export type Bench = {
  /** Evaluates cold if not told otherwise. */
  readonly nix: Nix
  readonly folder: string
  /** A text of no other run. */
  readonly unique: string
  /** Where the root of a store path is put. */
  readonly rootOf: (path: StorePath) => string
  /** Another view of Nix, with other limits. */
  limited(options: Partial<NixOptions>): Nix
  /** Writes a package set: `body` is what follows `rec {`, with `run name script` and a `unique` text at hand. */
  set(body: string): Promise<string>
  /** Writes a default.nix as it is. */
  file(text: string): Promise<string>
  lookUp(set: string, ...names: string[]): Promise<Looked[]>
  /** Instantiates packages of a new set. */
  packages(body: string, ...names: string[]): Promise<Wanted[]>
  close(): Promise<void>
}

/** Of this machine. */
export const { system } = platforms[process.arch === 'arm64' ? 'arm64' : 'amd64']
export async function openBench(evaluator: NixOptions['evaluator'] = 'cold'): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-nix-'))
  const unique = randomUUID()
  const made: Nix[] = []
  const limited = (options: Partial<NixOptions>): Nix => {
    const limitedNix = createNix({
      rootsDirectory: join(folder, 'roots'),
      keepRoots: 0,
      builderTimeout: 60,
      buildTimeout: 120,
      evalTimeout: 60,
      fetchTimeout: 60,
      evalMemory: 4096,
      evaluator,
      concurrency: 2,
      note: () => {},
      ...options,
    })
    made.push(limitedNix)
    // No set here changes, so one revision will do for all.
    const evaluate: Nix['evaluate'] = (lookUp, watch) =>
      limitedNix.evaluate({ revision: unique, ...lookUp }, watch)
    return { ...limitedNix, evaluate }
  }
  const nix = limited({})
  let count = 0
  const file = async (text: string) => {
    const set = join(folder, `set ${(count += 1)}`)
    await mkdir(set)
    await writeFile(join(set, 'default.nix'), text)
    return set
  }
  const set = (body: string) =>
    file(`{ system, ... }: let
      unique = "${unique}-${count}";
      run = name: script: derivation {
        inherit name system unique;
        builder = "/bin/sh";
        args = [ "-c" "\${script}\\n:" ];
      };
    in rec { ${body} }`)
  const lookUp = (where: string, ...names: string[]) =>
    nix.evaluate({ set: { folder: where }, system, attributes: names.map((name) => name.split('.')) }, {})
  return {
    nix,
    folder,
    unique,
    rootOf: (path) => join(folder, 'roots', basename(path)),
    limited,
    file,
    set,
    lookUp,
    async packages(body, ...names) {
      const looked = await lookUp(await set(body), ...names)
      return looked.flatMap(wantedOf)
    },
    async close() {
      await Promise.all(made.map((one) => one.close()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What a package is realised by; fails the test for what is none. */
export function wantedOf(found: Looked): [Wanted, ...Wanted[]] {
  if (found.status !== 'package') assert.fail(JSON.stringify(found))
  const { drvPath, outputs } = found
  const [first, ...others] = outputs
  return [{ drvPath, ...first }, ...others.map((each) => ({ drvPath, ...each }))]
}

/** The environment in which Nix works on this machine, for tests that start it themselves. */
export async function environmentOfNix(purpose: Purpose = 'realise'): Promise<Environment> {
  const options = { home: join(tmpdir(), 'nixery-nowhere') }
  const { lines } = await nixSettings(
    () => environmentFor('realise', process.env, options),
    () => {},
  )()
  return environmentFor(purpose, process.env, options, lines)
}

/** For `assert.rejects`: this code, and these in the message. */
export const failsWith =
  (code: ErrorCode, ...messages: RegExp[]) =>
  (error: unknown): true => {
    if (!(error instanceof NixeryError)) throw error
    assert.equal(error.code, code, error.message)
    for (const message of messages) assert.match(error.message, message)
    return true
  }
