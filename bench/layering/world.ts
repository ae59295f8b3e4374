/** The world of a simulation: packages with their closures, random images of them, and updates. */
import { hash } from 'node:crypto'
import { type Closure, walkClosure } from '../../src/closure/graph.ts'
import { impliedPackages } from '../../src/image/name.ts'
import { recipes } from '../../src/image/recipes.ts'
import {
  byText,
  type PathFacts,
  parseStorePath,
  storePathName,
  type StorePath,
} from '../../src/image/store-path.ts'

export type World = {
  readonly name: string
  /** Output path by attribute. */
  readonly packages: ReadonlyMap<string, StorePath>
  /** The facts of all paths in their closures. */
  readonly paths: ReadonlyMap<StorePath, PathFacts>
}

/** Pseudorandom numbers from 0 to 1 (exclusive), equal for equal seeds (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Random images of 1 to 6 packages, as attributes. One in three has a shell, and all have the packages of every image.
 * @param count the number of images
 */
export function randomImages({ packages }: World, count: number, seed: number): string[][] {
  const random = randomNumbers(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const names = [...packages.keys()].sort(byText)
  return Array.from({ length: count }, () => {
    const chosen = new Set<string>(impliedPackages)
    for (let left = 1 + below(6); left > 0; left--) chosen.add(names[below(names.length)] as string)
    if (below(3) === 0) for (const name of recipes.shell.packages) chosen.add(name)
    return [...chosen].filter((name) => packages.has(name))
  })
}

/** The closure of these attributes. */
export function closureIn({ packages, paths }: World, attributes: readonly string[]): Closure {
  const roots = attributes.flatMap((name) => packages.get(name) ?? [])
  const walked = walkClosure(roots, (path) => paths.get(path))
  if ('closure' in walked) return walked.closure
  throw new Error(`no facts for ${walked.unknown.slice(0, 3).join(' ')}`)
}

/**
 * The world after an update of some packages. They get a new version and a size that differs by up to 2 %; all paths that
 * refer to them, directly or not, get a new hash, as in Nix.
 * @param share the share of paths that change themselves: 0.05
 */
export function updated(world: World, share: number, seed: number): World {
  const random = randomNumbers(seed)
  const paths = [...world.paths.keys()].sort(byText)
  const changed = new Set<StorePath>()
  while (changed.size < Math.round(paths.length * share)) {
    changed.add(paths[Math.floor(random() * paths.length)] as StorePath)
  }
  const users = new Map<StorePath, StorePath[]>()
  for (const { storePath, references } of world.paths.values()) {
    for (const reference of references) users.set(reference, [...(users.get(reference) ?? []), storePath])
  }
  const touched = new Set(changed)
  for (const path of touched) for (const user of users.get(path) ?? []) touched.add(user)

  const renamed = new Map(
    paths.map((path) => {
      if (!touched.has(path)) return [path, path]
      return [path, storePathOf(storePathName(path) + (changed.has(path) ? '-1' : ''), `${seed} ${path}`)]
    }),
  )
  const now = (path: StorePath): StorePath => renamed.get(path) ?? path
  const facts = paths.map((path) => {
    const before = world.paths.get(path) as PathFacts
    if (!touched.has(path)) return before
    const size = changed.has(path) ? Math.round(before.narSize * (0.98 + 0.04 * random())) : before.narSize
    return factsOf(now(path), size, before.references.map(now))
  })
  return {
    name: world.name,
    packages: new Map([...world.packages].map(([name, path]) => [name, now(path)])),
    paths: new Map(facts.map((one) => [one.storePath, one])),
  }
}

const base32 = '0123456789abcdfghijklmnpqrsvwxyz'

/** A store path with this name; different for different inputs. */
export function storePathOf(name: string, inputs: string): StorePath {
  const digest = [...hash('sha256', `${name} ${inputs}`, 'buffer')].map((byte) => base32[byte % 32])
  return parseStorePath(`/nix/store/${digest.join('')}-${name}`)
}

export const factsOf = (storePath: StorePath, narSize: number, references: StorePath[]): PathFacts => ({
  storePath,
  narHash: `sha256-${hash('sha256', storePath, 'base64')}`,
  narSize,
  references: references.toSorted(byText),
})
