import { basename, dirname, resolve } from 'node:path'
import type { Listings } from '../contents/contents.ts'
import { follow, type Place } from '../contents/follow.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import { shown, type Node, type Tree } from './work.ts'

/** Something of a package that is left out, and why. */
export type Conflict = {
  readonly path: string
  readonly left: string
} & (
  | { readonly because: 'later'; readonly taken: string }
  /** A link that leads nowhere, where there is a directory; a link to the very place; a file for a directory. */
  | { readonly because: 'dangling' | 'loop' | 'file' }
)

/**
 * Where packages have programs, those of one package in this order. All of them are laid over one another in
 * `/usr/bin`, to which the others lead, as in Fedora and, but for `sbin`, Debian.
 */
const programFolders = ['bin', 'sbin', 'usr/bin', 'usr/sbin'] as const
const laidApart: ReadonlySet<string> = new Set(programFolders.map((folder) => `/${folder}`))
const programsAt = '/usr/bin'

/** At most so many directories are laid over one another: links to directories can make more than anyone has. */
export const mostMerged = 20_000
/**
 * So many folders deeper than in its package a directory may lie: one more for each link to a directory on the way. Eight
 * directories that link to each other lie at 8! places.
 */
const mostDetours = 2

/**
 * Lays packages over one another. A name that one package has is a link to it, so that the tree stays small
 * however many files a package has; a directory that several have is a real one with the names of all. `/etc`
 * and the directories at the top are always real, because containers write there. A link that leads out of the
 * store is kept and never followed: it means a place in the container, not on this machine. It gives way to a
 * directory. Otherwise the rules are those of nixpkgs' `buildEnv`, but nothing fails.
 * @param packages in order: the first one wins a conflict
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
    const children = await merge(programs, programsAt, [top.real], context)
    const usr = tree.get('usr')
    const beside: Tree = usr?.kind === 'directory' ? usr.children : new Map()
    beside.set('bin', { kind: 'directory', children })
    if (usr?.kind !== 'directory') {
      if (usr?.kind === 'link') {
        context.conflicts.push({ path: '/usr', left: usr.target, because: 'file' })
      }
      tree.set('usr', { kind: 'directory', children: beside })
    }
  }
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
  const context: Context = { listings, store, conflicts: [], merged: 0 }
  const tree = await merge(await directories(folders, context), path, [], context)
  return { tree, conflicts: context.conflicts }
}

/** A conflict for the one who pulls. */
export function conflictText(conflict: Conflict): string {
  const path = shown(conflict.path)
  const left = shown(conflict.left)
  switch (conflict.because) {
    case 'later':
      return `${path} is in two packages: ${shown(conflict.taken)} is taken, ${left} is left out`
    case 'dangling':
      return `${left} is a link that leads nowhere, and is left out: ${path} is a directory`
    case 'loop':
      return `${left} is a link to ${path}, where it would lie itself, and is left out`
    case 'file':
      return `${left} is left out: ${path} is a directory`
  }
}

type Context = {
  readonly listings: Listings
  readonly store: string
  readonly conflicts: Conflict[]
  /** How many directories were laid over one another. */
  merged: number
}

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
      const paths = places.get(name)
      if (paths) paths.push(`${provider.path}/${name}`)
      else places.set(name, [`${provider.path}/${name}`])
    }
  }
  const tree: Tree = new Map()
  for (const [name, found] of [...places].sort(([a], [b]) => byText(a, b))) {
    // What nixpkgs leaves for its own builds is of no use in an image.
    if (path === '' && name === 'nix-support') continue
    if (laidApart.has(`${path}/${name}`)) continue
    const made = await node(found, `${path}/${name}`, seen, context)
    if (made) tree.set(name, made)
  }
  return tree
}

async function node(
  found: readonly string[],
  path: string,
  seen: readonly string[],
  context: Context,
): Promise<Node | undefined> {
  const { conflicts } = context
  const [only = ''] = found
  if (found.length === 1 && !alwaysReal(path)) return { kind: 'link', target: only }

  const places = await placesOf(found, context)
  const left = await leftOut(found, places, path, context)
  conflicts.push(...left)
  const gone = new Set(left.map((one) => one.left))
  const [first, ...others] = found.filter((one) => !gone.has(one))
  if (first === undefined) return undefined
  const link: Node = { kind: 'link', target: first }
  if (others.length === 0 && !alwaysReal(path)) return link

  const below = directoriesIn(found, places)
  const [top] = below
  if (top?.path !== first || seen.includes(top.real) || isFull(top, path, context)) {
    for (const other of others) {
      if (madeByAll.test(path) || (await sameTarget(first, other, context))) continue
      conflicts.push({ path, taken: first, left: other, because: 'later' })
    }
    return link
  }
  context.merged += 1
  const merged = new Set(below.map((directory) => directory.path))
  for (const other of others) {
    if (!merged.has(other)) conflicts.push({ path, taken: first, left: other, because: 'later' })
  }
  return { kind: 'directory', children: await merge(below, path, [...seen, top.real], context) }
}

/** Whether no further directory is laid over another here. */
function isFull({ real }: Directory, path: string, { merged, store }: Context): boolean {
  const depth = partsOf(path)
  const ownDepth = partsOf(real) - partsOf(store) - 1
  return merged >= mostMerged || depth > ownDepth + mostDetours
}

const partsOf = (path: string): number => path.split('/').length - 1

const alwaysReal = (path: string): boolean => !path.slice(1).includes('/') || path.startsWith('/etc/')

/** What every package of a kind makes for itself; `buildEnv` leaves it out, and it is no news that there are several. */
const madeByAll = /\/info\/dir$|^\/share\/mime\/(?!packages(?:\/|$))|\/perllocal\.pod$/

/** Links that lead nowhere where others have a directory, and links to the very place where they would lie. */
async function leftOut(
  found: readonly string[],
  places: readonly (Place | undefined)[],
  path: string,
  context: Context,
): Promise<Conflict[]> {
  const dangling = found.filter((_, index) => places[index] === undefined)
  if (directoriesIn(found, places).length > 0) {
    return dangling.map((left) => ({ path, left, because: 'dangling' }))
  }
  const targets = await Promise.all(dangling.map((one) => targetOf(one, context)))
  return dangling.flatMap((left, index) => {
    const target = targets[index]
    return target === path || target?.startsWith(`${path}/`) ? [{ path, left, because: 'loop' }] : []
  })
}

async function directoriesOfPrograms(roots: readonly Directory[], context: Context): Promise<Directory[]> {
  const all = roots.flatMap(({ path }) => programFolders.map((folder) => `${path}/${folder}`))
  const found = new Map<string, Directory>()
  const places = await placesOf(all, context)
  for (const one of directoriesIn(all, places)) if (!found.has(one.real)) found.set(one.real, one)
  for (const [index, left] of all.entries()) {
    if (places[index]?.found.kind === 'directory' || !(await lies(left, context))) continue
    const path = `/${programFolders[index % programFolders.length]}`
    context.conflicts.push({ path, left, because: places[index] ? 'file' : 'dangling' })
  }
  return [...found.values()]
}

const placesOf = (paths: readonly string[], { listings, store }: Context) =>
  Promise.all(paths.map((path) => follow(listings, path, store)))

/** Those of the paths that are directories, or links to one in the store. */
const directories = async (paths: readonly string[], context: Context): Promise<Directory[]> =>
  directoriesIn(paths, await placesOf(paths, context))

function directoriesIn(paths: readonly string[], places: readonly (Place | undefined)[]): Directory[] {
  return paths.flatMap((path, index) => {
    const place = places[index]
    return place?.found.kind === 'directory' ? [{ path, real: place.path }] : []
  })
}

/** Two links to one place are no conflict: wrappers and `propagated` packages often bring the same file. */
async function sameTarget(a: string, b: string, context: Context): Promise<boolean> {
  const { listings, store } = context
  const placeOf = async (path: string) =>
    (await follow(listings, path, store))?.path ?? (await targetOf(path, context)) ?? path
  return (await placeOf(a)) === (await placeOf(b))
}

/** Where a link leads that leads out of the store or nowhere; undefined for what is no link. */
async function targetOf(path: string, context: Context): Promise<string | undefined> {
  const found = await lies(path, context)
  return found?.kind === 'symlink' ? resolve(dirname(path), found.target) : undefined
}

/** What lies at a path, links on the way followed, but not itself. */
async function lies(path: string, { listings, store }: Context) {
  const parent = await follow(listings, dirname(path), store)
  return parent && (await listings.look(`${parent.path}/${basename(path)}`))
}
