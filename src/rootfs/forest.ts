import { basename, dirname, resolve } from 'node:path'
import type { Listings } from '../contents/contents.ts'
import { follow } from '../contents/follow.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import { shown, type Node, type Tree } from './work.ts'

/** Two packages have something at the same place; the first one's is taken. */
export type Conflict = { readonly path: string; readonly taken: string; readonly left: string }

/**
 * Lays packages over one another. A name that one package has is a link to it, so that the tree stays small
 * however many files a package has; a directory that several have is a real one with the names of all. `/etc`
 * and the directories at the top are always real, because containers write there. A link that leads out of the
 * store is kept and never followed: it means a place in the container, not on this machine.
 * @param packages in order: the first one wins a conflict
 */
export async function linkForest(
  listings: Listings,
  packages: readonly StorePath[],
): Promise<{ tree: Tree; conflicts: Conflict[] }> {
  const [first] = packages
  if (first === undefined) return { tree: new Map(), conflicts: [] }
  const context: Context = { listings, store: dirname(first), conflicts: [] }
  const tree = await merge(await directories(packages, context), '', [], context)
  return { tree, conflicts: context.conflicts }
}

/**
 * Lays folders over one another, as `linkForest` does with packages, in a place further down.
 * @param folders in order: the first one wins a conflict
 * @param path where they are laid, in the image: `/lib/ruby`
 */
export async function linkFolders(
  { listings, store }: Pick<Context, 'listings' | 'store'>,
  folders: readonly string[],
  path: string,
): Promise<{ tree: Tree; conflicts: Conflict[] }> {
  const context: Context = { listings, store, conflicts: [] }
  const tree = await merge(await directories(folders, context), path, [], context)
  return { tree, conflicts: context.conflicts }
}

/** A conflict for the one who pulls. */
export const conflictText = ({ path, taken, left }: Conflict): string =>
  `${shown(path)} is in two packages: ${shown(taken)} is taken, ${shown(left)} is left out`

type Context = { readonly listings: Listings; readonly store: string; readonly conflicts: Conflict[] }

/** A directory that packages have: its path, links not followed, and where it really lies. */
type Directory = { readonly path: string; readonly real: string }

async function merge(
  providers: readonly Directory[],
  path: string,
  seen: readonly string[],
  context: Context,
): Promise<Tree> {
  const places = new Map<string, string[]>()
  for (const provider of providers) {
    for (const name of await context.listings.list(provider.real)) {
      places.set(name, [...(places.get(name) ?? []), `${provider.path}/${name}`])
    }
  }
  const tree: Tree = new Map()
  for (const [name, found] of [...places].sort(([a], [b]) => byText(a, b))) {
    // What nixpkgs leaves for its own builds is of no use in an image.
    if (path === '' && name === 'nix-support') continue
    tree.set(name, await node(found, `${path}/${name}`, seen, context))
  }
  return tree
}

async function node(
  found: readonly string[],
  path: string,
  seen: readonly string[],
  context: Context,
): Promise<Node> {
  const { conflicts } = context
  const [first = '', ...others] = found
  const link: Node = { kind: 'link', target: first }
  if (others.length === 0 && !alwaysReal(path)) return link

  const below = await directories(found, context)
  const [top] = below
  if (top?.path !== first || seen.includes(top.real)) {
    for (const left of others) {
      if (!(await sameTarget(first, left, context))) conflicts.push({ path, taken: first, left })
    }
    return link
  }
  const merged = new Set(below.map((directory) => directory.path))
  for (const left of others) if (!merged.has(left)) conflicts.push({ path, taken: first, left })
  return { kind: 'directory', children: await merge(below, path, [...seen, top.real], context) }
}

const alwaysReal = (path: string): boolean => !path.slice(1).includes('/') || path.startsWith('/etc/')

/** Those of the paths that are directories, or links to one in the store. */
async function directories(paths: readonly string[], { listings, store }: Context): Promise<Directory[]> {
  const places = await Promise.all(paths.map((path) => follow(listings, path, store)))
  return places.flatMap((place, index) => {
    const path = paths[index]
    return place?.found.kind === 'directory' && path !== undefined ? [{ path, real: place.path }] : []
  })
}

/** Two links to one place are no conflict: wrappers and `propagated` packages often bring the same file. */
async function sameTarget(a: string, b: string, { listings, store }: Context): Promise<boolean> {
  const placeOf = async (path: string) => {
    const place = await follow(listings, path, store)
    if (place) return place.path
    // A link that leads out of the store or nowhere; it lies in a directory that was listed.
    const parent = await follow(listings, dirname(path), store)
    const found = parent && (await listings.look(`${parent.path}/${basename(path)}`))
    return found?.kind === 'symlink' ? resolve(dirname(path), found.target) : path
  }
  return (await placeOf(a)) === (await placeOf(b))
}
