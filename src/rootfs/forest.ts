import { readdir, readlink, realpath, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { byText, type StorePath } from '../image/store-path.ts'

/** A tree of what lies at `/` beside the store: names to links into it, and directories. */
export type Tree = Map<string, Node>
export type Node =
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'directory'; readonly children: Tree; readonly mode?: number }
  | { readonly kind: 'file'; readonly text: string; readonly mode: number }

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
  packages: readonly StorePath[],
): Promise<{ tree: Tree; conflicts: Conflict[] }> {
  const [first] = packages
  if (first === undefined) return { tree: new Map(), conflicts: [] }
  const context: Context = { store: dirname(first), conflicts: [] }
  const tree = await merge(await directories(packages, context), '', [], context)
  return { tree, conflicts: context.conflicts }
}

type Context = { readonly store: string; readonly conflicts: Conflict[] }

async function merge(
  providers: readonly string[],
  path: string,
  seen: readonly string[],
  context: Context,
): Promise<Tree> {
  const places = new Map<string, string[]>()
  for (const provider of providers) {
    for (const name of await readdir(provider)) {
      places.set(name, [...(places.get(name) ?? []), `${provider}/${name}`])
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
  const loops = below.length > 0 && seen.includes(await realpath(first))
  if (below.length === 0 || below[0] !== first || loops) {
    for (const left of others) {
      if (!(await sameTarget(first, left, context))) conflicts.push({ path, taken: first, left })
    }
    return link
  }
  for (const left of others.filter((other) => !below.includes(other)))
    conflicts.push({ path, taken: first, left })
  const trail = [...seen, await realpath(first)]
  return { kind: 'directory', children: await merge(below, path, trail, context) }
}

const alwaysReal = (path: string): boolean => !path.slice(1).includes('/') || path.startsWith('/etc/')

/** Those of the paths that are directories, or links to one in the store. */
async function directories(paths: readonly string[], { store }: Context): Promise<string[]> {
  const kinds = await Promise.all(
    paths.map(async (path) => {
      const target = await leadsTo(path, store)
      return target !== undefined && (await stat(target)).isDirectory()
    }),
  )
  return paths.filter((_, index) => kinds[index])
}

/** Two links to one place are no conflict: wrappers and `propagated` packages often bring the same file. */
async function sameTarget(a: string, b: string, { store }: Context): Promise<boolean> {
  const placeOf = async (path: string) =>
    (await leadsTo(path, store)) ?? resolve(dirname(path), await readlink(path))
  return (await placeOf(a)) === (await placeOf(b))
}

/** Where a path leads, with all links followed; undefined if nowhere, or out of the store. */
export async function leadsTo(path: string, store: string): Promise<string | undefined> {
  const [target, within] = await Promise.all([path, store].map((one) => realpath(one).catch(() => undefined)))
  return target?.startsWith(`${within}/`) ? target : undefined
}
