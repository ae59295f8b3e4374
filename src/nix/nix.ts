import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { NixeryError } from '../errors.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { evaluate, type LookUp, type Looked } from './evaluate.ts'
import { parsePathInfo } from './facts.ts'
import { messageOf, run, type RunOptions } from './process.ts'
import { realise, type Wanted } from './realise.ts'
import { nixSettings } from './settings.ts'

/** Who listens to one piece of Nix's work, and may end it. */
export type Watch = { readonly signal?: AbortSignal | undefined; readonly onLine?: (line: string) => void }

/** All that this program asks of Nix. */
export type Nix = {
  /** Looks names up in a package set; see `evaluate.ts`. */
  evaluate(lookUp: LookUp, watch: Watch): Promise<Looked[]>
  /** Builds or fetches outputs, keeps them from the garbage collector while `use` runs, and gives its result. */
  withRealised<T>(wanted: readonly Wanted[], watch: Watch, use: () => Promise<T>): Promise<T>
  /** What Nix knows of all paths that these reach. They must be valid. */
  closureFacts(paths: readonly StorePath[], watch: Watch): Promise<PathFacts[]>
  /** Fails with NIX_UNAVAILABLE when there is no Nix; gives its version otherwise. */
  version(): Promise<string>
}

export type NixOptions = {
  /** Folder for garbage collector roots, which is this program's own. */
  readonly rootsDirectory: string
  /** Seconds that one builder may run. */
  readonly builderTimeout: number
  /** Seconds that all of one realisation may take. */
  readonly buildTimeout: number
  /** Seconds that one evaluation may take. */
  readonly evalTimeout: number
  /** How many evaluations, and how many realisations, run at once. */
  readonly concurrency: number
  /** Gets a line for each thing that had to be set for Nix to work here. */
  readonly note: (line: string) => void
}

export function createNix(options: NixOptions): Nix {
  const settings = nixSettings(options.note)
  const evaluations = pLimit(options.concurrency)
  const realisations = pLimit(options.concurrency)
  const runOptions = async (watch: Watch, seconds: number): Promise<RunOptions> => ({
    ...watch,
    environment: await settings(),
    timeout: seconds * 1000,
  })
  let swept: Promise<void> | undefined

  return {
    evaluate: (lookUp, watch) =>
      evaluations(async () => evaluate(lookUp, await runOptions(watch, options.evalTimeout))),

    async withRealised(wanted, watch, use) {
      await (swept ??= removeOldRoots(options.rootsDirectory))
      const roots = join(options.rootsDirectory, randomUUID())
      try {
        await mkdir(roots, { recursive: true })
        await realisations(async () =>
          realise(
            wanted,
            join(roots, 'root'),
            options.builderTimeout,
            await runOptions(watch, options.buildTimeout),
          ),
        )
        return await use()
      } finally {
        await rm(roots, { recursive: true, force: true })
      }
    },

    async closureFacts(paths, watch) {
      const command = ['--extra-experimental-features', 'nix-command', 'path-info', '--json', '--recursive']
      const result = await run('nix', [...command, ...paths], await runOptions(watch, options.evalTimeout))
      if (result.ok) return parsePathInfo(result.stdout)
      throw new NixeryError(
        'BUILD_FAILED',
        `Nix does not know its own store paths:\n${messageOf(result.lines)}`,
      )
    },

    async version() {
      const result = await run('nix-store', ['--version'], { environment: {}, timeout: 20_000 })
      if (result.ok) return result.stdout.trim().replace(/^.*\) /, '')
      throw new NixeryError('NIX_UNAVAILABLE', `Nix cannot be started:\n${messageOf(result.lines)}`)
    },
  }
}

/** A process that was killed leaves its roots; a day later they keep nothing that is in use. */
async function removeOldRoots(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  const aDayAgo = Date.now() - 24 * 3_600_000
  for (const name of await readdir(directory)) {
    const roots = join(directory, name)
    if ((await stat(roots)).mtimeMs < aDayAgo) await rm(roots, { recursive: true })
  }
}
