import { dirname } from 'node:path'
import type { Listings } from '../contents/contents.ts'
import type { PlainEntry } from '../contents/entry.ts'
import { cachedListings } from '../contents/cached-listings.ts'
import { addLibc, addTerminals, addTimeZones } from './environment.ts'
import { addCertificates, addFiles, addFolders, addPrograms, ignoreMounted } from './essentials.ts'
import { conflictText, linkForest } from './forest.ts'
import { addLanguages } from './languages/languages.ts'
import { addNix } from './nix/nix.ts'
import { addRecipe } from './recipe.ts'
import { entriesOf, isInBase } from './tree.ts'
import { treeOfBase } from './base-tree.ts'
import { addBesidePrograms, layOver } from './lay-over.ts'
import type { RootfsInput, Work } from './work.ts'

/**
 * Part of the layer's key. Increment this when the same packages produce another tree, other variables or warnings about
 * other things; the wording of warnings does not matter.
 */
export const rootfsVersion = 4

/** The last layer of an image, and the variables and warnings that depend on the contents of the packages. */
export type Rootfs = {
  readonly entries: PlainEntry[]
  /** Environment variables besides `environment`, as `NAME=value`, sorted. */
  readonly env: string[]
  /** What was ignored, and why. At most `maxWarnings`, and a line with the number of others. */
  readonly warnings: string[]
}

const maxWarnings = 50

/**
 * Builds the layer that makes store paths look like a system. The result depends only on the input and the contents of the
 * store paths; any other dependency must become part of the input and of the layer's key.
 */
export async function rootfs(contents: Listings, input: RootfsInput): Promise<Rootfs> {
  const listings = cachedListings(contents)
  const { tree: forest, conflicts } = await linkForest(listings, input.packages)
  const warnings = conflicts.map(conflictText)
  const env = new Map<string, string>()
  const store = dirname(input.packages[0] ?? input.closure[0]?.storePath ?? '/nix/store/none')
  const warn = (message: string) => void warnings.push(message)
  const tree = input.base ? treeOfBase(input.base) : forest
  const work: Work = { ...input, listings, store, tree, env, warn }
  if (input.base) {
    ignoreMounted(forest, warn)
    await layOver(work, forest)
  }
  // In this order: each step adds to the tree, the variables and the warnings, and keeps existing entries.
  await addFolders(work)
  if (input.base) await addBesidePrograms(work)
  await addPrograms(work)
  await addFiles(work)
  await addCertificates(work)
  await addTimeZones(work)
  await addTerminals(work)
  await addLibc(work)
  await addLanguages(work)
  addStore(work)
  await addNix(work)
  if (input.extra) await addRecipe(work, input.extra)
  return {
    entries: [...entriesOf(tree)],
    env: Array.from(env, ([name, value]) => `${name}=${value}`).sort(),
    warnings: limitWarnings(warnings),
  }
}

/** Adds the folders of the store, so that the runtime does not choose their modes. */
function addStore(work: Work): void {
  const { tree } = work
  if (isInBase(tree.get('nix'))) return
  const store = { kind: 'directory', children: new Map() } as const
  tree.set('nix', { kind: 'directory', children: new Map([['store', store]]) })
}

function limitWarnings(warnings: readonly string[]): string[] {
  const kept = warnings.slice(0, maxWarnings)
  const others = warnings.length - kept.length
  return others > 0 ? [...kept, `${others} more warnings like these`] : kept
}
