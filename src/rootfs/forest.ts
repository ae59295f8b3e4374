import { basename, dirname, resolve } from 'node:path'
import type { Listings } from '../contents/contents.ts'
import { followLinks, type Place } from '../contents/follow-links.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import { shown, type Node, type Tree } from './work.ts'

/** A path of a package that is ignored, and the reason. */
export type Conflict = {
  readonly path: string
  readonly ignored: string
} & (
  | { readonly reason: 'later'; readonly used: string }
  /** A dangling link in place of a directory; a link to its own place; a file in place of a directory. */
  | { readonly reason: 'dangling' | 'loop' | 'file' }
)

/**
 * Where packages have programs, in order of precedence. All are merged in `/usr/bin`, and the other folders are links to
 * it, as in Fedora and, except for `sbin`, Debian.
 */
const programFolders = ['bin', 'sbin', 'usr/bin', 'usr/sbin'] as const
const mergedSeparately: ReadonlySet<string> = new Set(programFolders.map((folder) => `/${folder}`))
const programsPath = '/usr/bin'

/** The maximum number of merged directories, because links between directories can multiply them. */
export const maxMerged = 20_000
/**
 * The maximum number of links to directories on the way to a merged directory. Eight directories that link to each other
 * are at 8! places.
 */
const maxDetours = 2

/**
 * Merges packages into a tree of links. A name that only one package has is a link to it, so the tree stays small for
 * packages with many files. A directory that several packages have is a real directory with the names of all. `/etc` and
 * the directories at the top are always real, because containers write there. A link out of the store is kept and never
 * followed, because it means a path in the container, not on this machine; a directory replaces it. Otherwise the rules
 * are those of nixpkgs' `buildEnv`, but nothing fails.
 * @param packages in order of precedence
 */
export async function linkForest(
  listings: Listings,
  packages: readonly StorePath[],
): Promise<{ tree: Tree; conflicts: Conflict[] }> {
  const [first] = packages
  if (first === undefined) return { tree: new Map(), conflicts: [] }
  const context: Context = { listings, store: dirname(first), conflicts: [], merged: 0 }
  const roots = await directories(packages, context)
  const tree = await merge(roots, '', [], context)
  const programs = await directoriesOfPrograms(roots, context)
  const [top] = programs
  if (top) {
    const children = await merge(programs, programsPath, [top.real], context)
    const usr = tree.get('usr')
    const beside: Tree = usr?.kind === 'directory' ? usr.children : new Map()
    beside.set('bin', { kind: 'directory', children })
    if (usr?.kind !== 'directory') {
      if (usr?.kind === 'link') {
        context.conflicts.push({ path: '/usr', ignored: usr.target, reason: 'file' })
      }
      tree.set('usr', { kind: 'directory', children: beside })
    }
  }
  return { tree, conflicts: context.conflicts }
}

/**
 * Merges folders, as `linkForest` does with packages, at a path below the root.
 * @param folders in order of precedence
 * @param path the path in the image, such as `/lib/ruby`
 */
export async function linkFolders(
  { listings, store }: Pick<Context, 'listings' | 'store'>,
  folders: readonly string[],
  path: string,
): Promise<{ tree: Tree; conflicts: Conflict[] }> {
  const context: Context = { listings, store, conflicts: [], merged: 0 }
  const tree = await merge(await directories(folders, context), path, [], context)
  return { tree, conflicts: context.conflicts }
}

/** The warning about a conflict. */
export function conflictText(conflict: Conflict): string {
  const path = shown(conflict.path)
  const ignored = shown(conflict.ignored)
  switch (conflict.reason) {
    case 'later':
      return `${path} is in two packages: ${shown(conflict.used)} is used, ${ignored} is ignored`
    case 'dangling':
      return `${ignored} is ignored: it is a dangling link, and ${path} is a directory`
    case 'loop':
      return `${ignored} is ignored: it links to ${path}, its own place`
    case 'file':
      return `${ignored} is ignored: ${path} is a directory`
  }
}

type Context = {
  readonly listings: Listings
  readonly store: string
  readonly conflicts: Conflict[]
  /** The number of merged directories. */
  merged: number
}

/** A directory of a package: its path, and its real path with links followed. */
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
      const paths = places.get(name)
      if (paths) paths.push(`${provider.path}/${name}`)
      else places.set(name, [`${provider.path}/${name}`])
    }
  }
  const tree: Tree = new Map()
  for (const [name, candidates] of [...places].sort(([a], [b]) => byText(a, b))) {
    // nix-support is only for builds in nixpkgs.
    if (path === '' && name === 'nix-support') continue
    if (mergedSeparately.has(`${path}/${name}`)) continue
    const merged = await mergeNode(candidates, `${path}/${name}`, seen, context)
    if (merged) tree.set(name, merged)
  }
  return tree
}

/** Merges the candidates of several packages for one path. */
async function mergeNode(
  candidates: readonly string[],
  path: string,
  seen: readonly string[],
  context: Context,
): Promise<Node | undefined> {
  const { conflicts } = context
  const [only = ''] = candidates
  if (candidates.length === 1 && !alwaysReal(path)) return { kind: 'link', target: only }

  const places = await placesOf(candidates, context)
  const links = await ignoredLinks(candidates, places, path, context)
  conflicts.push(...links)
  const ignoredPaths = new Set(links.map((one) => one.ignored))
  const [first, ...others] = candidates.filter((one) => !ignoredPaths.has(one))
  if (first === undefined) return undefined
  const link: Node = { kind: 'link', target: first }
  if (others.length === 0 && !alwaysReal(path)) return link

  const below = directoriesIn(candidates, places)
  const [top] = below
  if (top?.path !== first || seen.includes(top.real) || isFull(top, path, context)) {
    for (const other of others) {
      if (generatedByAll.test(path) || (await sameTarget(first, other, context))) continue
      conflicts.push({ path, used: first, ignored: other, reason: 'later' })
    }
    return link
  }
  context.merged += 1
  const merged = new Set(below.map((directory) => directory.path))
  for (const other of others) {
    if (!merged.has(other)) conflicts.push({ path, used: first, ignored: other, reason: 'later' })
  }
  return { kind: 'directory', children: await merge(below, path, [...seen, top.real], context) }
}

/** Whether the limits on merged directories are reached. */
function isFull({ real }: Directory, path: string, { merged, store }: Context): boolean {
  const depth = partsOf(path)
  const ownDepth = partsOf(real) - partsOf(store) - 1
  return merged >= maxMerged || depth > ownDepth + maxDetours
}

const partsOf = (path: string): number => path.split('/').length - 1

const alwaysReal = (path: string): boolean => !path.slice(1).includes('/') || path.startsWith('/etc/')

/** Files that every package of a kind generates. `buildEnv` ignores them, and conflicts are not reported. */
const generatedByAll = /\/info\/dir$|^\/share\/mime\/(?!packages(?:\/|$))|\/perllocal\.pod$/

/** Dangling links in place of other packages' directories, and links to their own places. */
async function ignoredLinks(
  candidates: readonly string[],
  places: readonly (Place | undefined)[],
  path: string,
  context: Context,
): Promise<Conflict[]> {
  const dangling = candidates.filter((_, index) => places[index] === undefined)
  if (directoriesIn(candidates, places).length > 0) {
    return dangling.map((ignored) => ({ path, ignored, reason: 'dangling' }))
  }
  const targets = await Promise.all(dangling.map((one) => targetOf(one, context)))
  return dangling.flatMap((ignored, index) => {
    const target = targets[index]
    return target === path || target?.startsWith(`${path}/`) ? [{ path, ignored, reason: 'loop' }] : []
  })
}

async function directoriesOfPrograms(roots: readonly Directory[], context: Context): Promise<Directory[]> {
  const all = roots.flatMap(({ path }) => programFolders.map((folder) => `${path}/${folder}`))
  const byRealPath = new Map<string, Directory>()
  const places = await placesOf(all, context)
  for (const one of directoriesIn(all, places)) if (!byRealPath.has(one.real)) byRealPath.set(one.real, one)
  for (const [index, ignored] of all.entries()) {
    if (places[index]?.found.kind === 'directory' || !(await entryAt(ignored, context))) continue
    const path = `/${programFolders[index % programFolders.length]}`
    context.conflicts.push({ path, ignored, reason: places[index] ? 'file' : 'dangling' })
  }
  return [...byRealPath.values()]
}

const placesOf = (paths: readonly string[], { listings, store }: Context) =>
  Promise.all(paths.map((path) => followLinks(listings, path, store)))

/** The paths that are directories, or links to directories in the store. */
const directories = async (paths: readonly string[], context: Context): Promise<Directory[]> =>
  directoriesIn(paths, await placesOf(paths, context))

function directoriesIn(paths: readonly string[], places: readonly (Place | undefined)[]): Directory[] {
  return paths.flatMap((path, index) => {
    const place = places[index]
    return place?.found.kind === 'directory' ? [{ path, real: place.path }] : []
  })
}

/** Whether two links have the same target, which is no conflict: wrappers and propagated packages often have the same file. */
async function sameTarget(a: string, b: string, context: Context): Promise<boolean> {
  const { listings, store } = context
  const placeOf = async (path: string) =>
    (await followLinks(listings, path, store))?.path ?? (await targetOf(path, context)) ?? path
  return (await placeOf(a)) === (await placeOf(b))
}

/** The target of a link out of the store or a dangling one; undefined for anything else. */
async function targetOf(path: string, context: Context): Promise<string | undefined> {
  const entry = await entryAt(path, context)
  return entry?.kind === 'symlink' ? resolve(dirname(path), entry.target) : undefined
}

/** The entry at a path, following links in its parents, but not itself. */
async function entryAt(path: string, { listings, store }: Context) {
  const parent = await followLinks(listings, dirname(path), store)
  return parent && (await listings.look(`${parent.path}/${basename(path)}`))
}
