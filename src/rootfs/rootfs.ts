import { dirname } from 'node:path'
import type { Listings } from '../contents/contents.ts'
import type { PlainEntry } from '../contents/entry.ts'
import { once } from '../contents/once.ts'
import { addLibc, addTerminals, addTimeZones } from './environment.ts'
import { addCertificates, addFiles, addFolders, addPrograms } from './essentials.ts'
import { conflictText, linkForest } from './forest.ts'
import { addLanguages } from './languages/languages.ts'
import { addNix } from './nix/nix.ts'
import { addRecipe } from './recipe.ts'
import { entriesOf } from './tree.ts'
import type { RootfsInput, Work } from './work.ts'

/** Raise it when the same packages begin to give another tree, variables or warnings: it is part of the layer's key. */
export const rootfsVersion = 4

/** The last layer of an image, and what else depends on what the packages have. */
export type Rootfs = {
  readonly entries: PlainEntry[]
  /** `NAME=value` each, sorted: variables that containers start with besides `environment`. */
  readonly env: string[]
  /** For the one who pulls: what was left out, and why. At most `mostWarnings`, and a line for the others. */
  readonly warnings: string[]
}

const mostWarnings = 50

/** What is put in, in order. Each step keeps what is there, and adds to the tree, to the variables, to the warnings. */
const steps: readonly ((work: Work) => Promise<void>)[] = [
  addFolders,
  addPrograms,
  addFiles,
  addCertificates,
  addTimeZones,
  addTerminals,
  addLibc,
  addLanguages,
  addStore,
  addNix,
  addRecipe,
]

/**
 * Makes a heap of store paths look like a system. A function of its input, given what `contents` says of the store
 * paths: whatever else it should depend on must become part of the input and of the layer's key.
 */
export async function rootfs(contents: Listings, input: RootfsInput): Promise<Rootfs> {
  const listings = once(contents)
  const { tree, conflicts } = await linkForest(listings, input.packages)
  const warnings = conflicts.map(conflictText)
  const env = new Map<string, string>()
  const store = dirname(input.packages[0] ?? input.closure[0]?.storePath ?? '/nix/store/none')
  const warn = (message: string) => void warnings.push(message)
  const work: Work = { ...input, listings, store, tree, env, warn }
  for (const step of steps) await step(work)
  return {
    entries: [...entriesOf(tree)],
    env: Array.from(env, ([name, value]) => `${name}=${value}`).sort(),
    warnings: bounded(warnings),
  }
}

/** So that a runtime does not choose modes for the store's own folders. */
async function addStore({ tree }: Work): Promise<void> {
  const store = { kind: 'directory', children: new Map() } as const
  tree.set('nix', { kind: 'directory', children: new Map([['store', store]]) })
}

function bounded(warnings: readonly string[]): string[] {
  const kept = warnings.slice(0, mostWarnings)
  const others = warnings.length - kept.length
  return others > 0 ? [...kept, `${others} more warnings like these`] : kept
}
