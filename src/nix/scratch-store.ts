import { randomUUID } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NixeryError } from '../errors.ts'
import { currentOwner, formatOwner, isGone, parseOwner } from '../fs/lock-owner.ts'
import type { StoreUse } from './store-need.ts'

/** Options of Nix's programs for another store, which take precedence over every configuration of Nix. */
export type StoreOptions = {
  readonly store: readonly string[]
  /** These options, and those that an evaluation also needs. */
  readonly evaluation: readonly string[]
}

/** Options for the configured store: none. */
export const configuredStore: StoreOptions = { store: [], evaluation: [] }

/** A Nix store in a folder, for one process: whatever an evaluation writes goes there instead of into the Nix store. */
export type ScratchStore = {
  readonly options: StoreOptions
  /** Deletes the folder. Never throws. */
  remove(): Promise<void>
}

/** Settings in nix.conf for the store of this machine do not apply to this one. */
const settings: readonly (readonly [name: string, value: string])[] = [
  ['allow-import-from-derivation', 'false'],
  ['auto-optimise-store', 'false'],
  ['build-users-group', ''],
  ['fsync-metadata', 'false'],
  ['min-free', '0'],
]
const ownerFile = 'owner'
/** Where the paths are. Nix 2.8 does not let a restricted evaluation read what it has written, but for `-I`. */
const storeIn = 'nix/store'
/** Milliseconds after which a folder of an invisible process, for example in another container, is deleted. */
const longestUse = 7 * 24 * 3600_000

/** Creates such stores. */
export type ScratchStores = {
  /**
   * Creates an empty store. Nothing can be built in it: it has no packages, and builders have no shell.
   * @throws STORE_UNAVAILABLE
   */
  make(): Promise<ScratchStore>
  /**
   * Runs an evaluation with options for a store that is deleted afterwards; without any if it may write to the Nix store,
   * or needs it: a flake is read from the store that has its sources.
   * @throws the errors of the evaluation, and STORE_UNAVAILABLE
   */
  with<T>(evaluated: StoreUse, evaluation: (options: StoreOptions) => Promise<T>): Promise<T>
}

/** @param home a folder of this program's own, which is created if needed */
export function createScratchStores(home: string): ScratchStores {
  let swept: Promise<void> | undefined
  const make = async (): Promise<ScratchStore> => {
    await (swept ??= removeAbandoned(home))
    const folder = await makeFolder(home).catch((error: unknown) => {
      throw new NixeryError('STORE_UNAVAILABLE', 'the folder for evaluation is not writable', {
        cause: error,
        hint: 'the operator must give this program write access to the folder NIXERY_DATA',
      })
    })
    const store = ['--store', folder, ...settings.flatMap(([name, value]) => ['--option', name, value])]
    return {
      options: { store, evaluation: [...store, '-I', `nixery-scratch=${join(folder, storeIn)}`] },
      remove: () => removeStore(folder).catch(() => {}),
    }
  }
  return {
    make,
    async with({ set, storeless = false }, evaluation) {
      if (!storeless || 'flake' in set) return evaluation(configuredStore)
      const store = await make()
      try {
        return await evaluation(store.options)
      } finally {
        await store.remove()
      }
    },
  }
}

/** Deletes the stores of processes that were killed. Never throws. */
async function removeAbandoned(home: string): Promise<void> {
  const stores = await storesIn(home).catch(() => undefined)
  if (stores === undefined) return
  for (const name of await readdir(stores).catch(() => [])) {
    const folder = join(stores, name)
    if (await isAbandoned(folder)) await removeStore(folder).catch(() => {})
  }
}

async function isAbandoned(folder: string): Promise<boolean> {
  const owner = parseOwner(await readFile(join(folder, ownerFile), 'utf8').catch(() => ''))
  const gone = owner && (await isGone(owner))
  if (gone !== undefined) return gone
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Infinity }))
  return Date.now() - mtimeMs > longestUse
}

async function makeFolder(home: string): Promise<string> {
  const folder = join(await storesIn(home), randomUUID())
  await mkdir(join(folder, storeIn), { recursive: true })
  await writeFile(join(folder, ownerFile), formatOwner(await currentOwner()))
  return folder
}

/** Nix refuses a store whose path has a symbolic link in it. */
async function storesIn(home: string): Promise<string> {
  const folder = join(home, 'stores')
  await mkdir(folder, { recursive: true })
  return realpath(folder)
}

/** Nix makes the folders in a store read-only, and only root can delete files in them without changing that. */
async function removeStore(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true }).catch(async () => {
    await makeWritable(folder)
    await rm(folder, { recursive: true, force: true })
  })
}

async function makeWritable(folder: string): Promise<void> {
  await chmod(folder, 0o700)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name))
  }
}
