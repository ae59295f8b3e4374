import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { platforms } from '../image/platform.ts'
import type { StorePath } from '../image/store-path.ts'
import { environmentFor, type Environment, type Purpose } from './environment.ts'
import type { LookupResult } from './evaluate.ts'
import { createNix, type Nix } from './nix.ts'
import type { NixOptions } from './options.ts'
import type { WantedOutput } from './realise.ts'
import { nixSettings } from './settings.ts'

/** Nix, and a folder for package sets. */
export type Bench = {
  /** Evaluates cold by default. */
  readonly nix: Nix
  readonly folder: string
  /** A text that is unique to this run. */
  readonly unique: string
  /** The path of the garbage collector root for a store path. */
  readonly rootOf: (path: StorePath) => string
  /** Nix with other limits. */
  limited(options: Partial<NixOptions>): Nix
  /** Writes a package set: `body` follows `rec {`, and may use `run name script` and the text `unique`. */
  set(body: string): Promise<string>
  /** Writes a default.nix with this text. */
  file(text: string): Promise<string>
  lookUp(set: string, ...names: string[]): Promise<LookupResult[]>
  /** Instantiates packages of a new set. */
  packages(body: string, ...names: string[]): Promise<WantedOutput[]>
  close(): Promise<void>
}

/** The system of this machine. */
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
    // No package set changes, so all can have the same revision.
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

/** The outputs to realise for a package; fails the test if the result is not a package. */
export function wantedOf(found: LookupResult): [WantedOutput, ...WantedOutput[]] {
  if (found.status !== 'package') assert.fail(JSON.stringify(found))
  const { drvPath, outputs } = found
  const [first, ...others] = outputs
  return [{ drvPath, ...first }, ...others.map((each) => ({ drvPath, ...each }))]
}

/** The environment for tests that start Nix themselves. */
export async function environmentOfNix(purpose: Purpose = 'realise'): Promise<Environment> {
  const options = { home: join(tmpdir(), 'nixery-nowhere') }
  const { lines } = await nixSettings(
    () => environmentFor('realise', process.env, options),
    () => {},
  )()
  return environmentFor(purpose, process.env, options, lines)
}

/** For `assert.rejects`: checks the code and the message. */
export const failsWith =
  (code: ErrorCode, ...messages: RegExp[]) =>
  (error: unknown): true => {
    if (!(error instanceof NixeryError)) throw error
    assert.equal(error.code, code, error.message)
    for (const message of messages) assert.match(error.message, message)
    return true
  }
