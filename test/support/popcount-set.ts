import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { storePathName, type StorePath } from '../../src/image/store-path.ts'
import { environmentOfNix } from '../../src/nix/testing.ts'
import { storePathHash } from '../../src/popcount/store-paths.ts'
import type { Reply, TestServer } from '../../src/popcount/testing.ts'
import { launcher } from './command.ts'

// One build with sixty outputs makes sixty store paths.
const outputs = Array.from({ length: 60 }, (_, index) => `o${index}`)
/** A Nix expression: a list of packages that refer to each other. */
const packageSet = `let
  run = name: text: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" text ];
  };
  libc = run "libc-2.40" "echo libc > $out";
  # Refers to itself, as most packages do.
  tls = run "tls-3.0" "echo $out \${libc} > $out";
  get = run "get-8.0" "echo \${libc} \${tls} > $out";
  many = derivation {
    name = "many-1.0";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    outputs = [ ${outputs.map((name) => `"${name}"`).join(' ')} ];
    args = [ "-c" "for name in ${outputs.join(' ')}; do eval echo \${libc} '>' \\\\$$name; done" ];
  };
in [ libc tls get ] ++ many.all`

// Counted by hand from the expression above. Nothing refers to get-8.0 or the outputs of many.
export const expected = { 'libc-2.40': 2 + outputs.length, 'tls-3.0': 2 }
/** The number of store paths. */
export const all = 3 + outputs.length

/** A binary cache of these packages in a folder, with a list of its store paths. */
export type PopcountSet = {
  readonly paths: readonly StorePath[]
  readonly binaryCache: string
  /** A new folder to run a command in. */
  workFolder(): Promise<string>
  /** A server's response for a file of the binary cache. */
  fileOf(name: string): Promise<Reply>
  /** The narinfo file name of a package. */
  narinfo(name: string): string
  dispose(): Promise<void>
}

export async function openPopcountSet(): Promise<PopcountSet> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-popcount-'))
  const binaryCache = join(folder, 'binary-cache')
  const env = await environmentOfNix()
  const build = await execa('nix-build', ['--no-out-link', '--expr', packageSet], { env })
  const paths = build.stdout.split('\n') as StorePath[]
  assert.equal(paths.length, all)
  const nix = ['--extra-experimental-features', 'nix-command', 'copy', '--to']
  await execa('nix', [...nix, `file://${binaryCache}?compression=none`, ...paths], { env })
  await writeFile(join(binaryCache, 'store-paths'), `${paths.join('\n')}\n`)
  await execa('xz', ['--keep', join(binaryCache, 'store-paths')])
  return {
    paths,
    binaryCache,
    workFolder: () => mkdtemp(join(folder, 'work-')),
    async fileOf(name) {
      const body = await readFile(join(binaryCache, name)).catch(() => undefined)
      return body ? { body } : { status: 404 }
    },
    narinfo(name) {
      const path = paths.find((each) => storePathName(each) === name)
      assert.ok(path, name)
      return `${storePathHash(path)}.narinfo`
    },
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The requested narinfos, in order. */
export const requestedNarinfos = ({ requests }: TestServer): string[] =>
  requests.filter((path) => path.endsWith('.narinfo'))

/** Starts `nixery popcount` with a folder as its working and cache directory. */
export const startPopcount = (folder: string, args: readonly string[]) =>
  execa(launcher, ['popcount', ...args], {
    cwd: folder,
    env: { NIXERY_CACHE: join(folder, 'cache'), CI: undefined },
    reject: false,
  })
