import { posix } from 'node:path'
import type { PlainEntry } from '../contents/entry.ts'
import { followLinks } from '../contents/follow-links.ts'
import { byText } from '../image/store-path.ts'
import { shown, type Node, type Tree, type Work } from './work.ts'

/** Files that accounts are written to. */
export const accountFiles: ReadonlySet<string> = new Set([
  '/etc/passwd',
  '/etc/group',
  '/etc/shadow',
  '/etc/gshadow',
])

type TreeContext = Pick<Work, 'tree' | 'listings' | 'store' | 'warn'>

/** A place in the tree, and the node there. */
export type Place = { readonly parent: Tree; readonly name: string; readonly existing: Node | undefined }

/**
 * Finds the place for a node at a path, and creates its parent directories. A link to a package's directory on the way
 * becomes a directory of links, so that nodes can be added to it. Anything else on the way is replaced, with a warning.
 * @param path an absolute path in the image, such as `/etc/passwd`
 */
export async function placeFor(work: TreeContext, path: string): Promise<Place> {
  const name = posix.basename(path)
  const parent = await directoryAt(work, posix.dirname(path))
  return { parent, name, existing: parent.get(name) }
}

/** The children of the directory at a path, which is created like the parents in `placeFor`. */
export async function directoryAt(work: TreeContext, path: string): Promise<Tree> {
  let children = work.tree
  let done = ''
  const remaining = path.split('/').filter((part) => part !== '')
  for (let part = remaining.shift(); part !== undefined; part = remaining.shift()) {
    done += `/${part}`
    const existing = children.get(part)
    if (existing?.kind === 'alias') {
      remaining.unshift(...existing.at.split('/').filter((each) => each !== ''))
      children = work.tree
      done = ''
      continue
    }
    children = await asDirectory(work, children, part, done)
  }
  return children
}

/** Replaces a child of a directory by a real directory. */
async function asDirectory(work: TreeContext, parent: Tree, name: string, path: string): Promise<Tree> {
  const existing = parent.get(name)
  if (existing?.kind === 'directory') return existing.children
  const children = existing && (await childrenOf(work, existing))
  if (existing && !children) {
    const what = existing.kind === 'link' ? existing.target : path
    work.warn(`${shown(what)} is ignored: ${shown(path)} is a directory`)
  }
  const directory: Tree = children ?? new Map()
  parent.set(name, { kind: 'directory', children: directory })
  return directory
}

/** Links to the contents of the package's directory that a link points to; undefined for anything else. */
export async function childrenOf({ listings, store }: TreeContext, node: Node): Promise<Tree | undefined> {
  if (node.kind !== 'link') return undefined
  const place = await followLinks(listings, node.target, store)
  if (place?.found.kind !== 'directory') return undefined
  const names = (await listings.list(place.path)).sort(byText)
  return new Map(names.map((name) => [name, { kind: 'link', target: `${node.target}/${name}` }]))
}

/** Adds a node at a path, unless there is one. */
export async function put(work: TreeContext, path: string, node: Node): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  if (!existing) parent.set(name, node)
}

/** Adds a directory with this mode and owner at a path, and keeps its existing contents. */
export async function putDirectory(
  work: TreeContext,
  path: string,
  how: Pick<Extract<Node, { kind: 'directory' }>, 'mode' | 'owner'>,
): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  if (existing?.kind === 'alias' && existing.inBase && existing.at !== '/') {
    return putDirectory(work, existing.at, how)
  }
  parent.set(name, { kind: 'directory', children: await directoryAt(work, path), ...how })
}

/**
 * Adds a link between two places in the image, and moves the contents of an existing directory to the target.
 * @param at the absolute path of the target
 * @param target the text of the link
 */
export async function putAlias(work: TreeContext, path: string, at: string, target = at): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  // A directory of the base is never replaced with a link.
  if (existing?.kind === 'alias' || isInBase(existing)) return
  if (existing) {
    const into = await directoryAt(work, at)
    for (const [child, node] of await asDirectory(work, parent, name, path)) {
      if (!into.has(child)) into.set(child, node)
    }
  }
  parent.set(name, { kind: 'alias', at, target })
}

/** Whether a node is the base's own entry. */
export const isInBase = (node: Node | undefined): boolean =>
  node?.kind === 'base' || ((node?.kind === 'directory' || node?.kind === 'alias') && node.inBase === true)

/** Whether a node is a directory, or a link of the image to one. */
export async function isDirectory(work: TreeContext, node: Node | undefined): Promise<boolean> {
  if (node?.kind !== 'alias') return node?.kind === 'directory'
  // A link of the base may lead to nothing.
  return !node.inBase || isDirectory(work, await nodeAt(work, node.at))
}

/** The node at a path, following links to packages. Creates nothing. */
export async function nodeAt(work: TreeContext, path: string): Promise<Node | undefined> {
  let current: Node = { kind: 'directory', children: work.tree }
  const parts = path.split('/').filter((part) => part !== '')
  for (const [index, part] of parts.entries()) {
    if (current.kind === 'alias') return nodeAt(work, [current.at, ...parts.slice(index)].join('/'))
    if (current.kind === 'link') {
      const target = [current.target, ...parts.slice(index)].join('/')
      return (await entryExists(work, target)) ? { kind: 'link', target } : undefined
    }
    const next: Node | undefined = current.kind === 'directory' ? current.children.get(part) : undefined
    if (!next) return undefined
    current = next
  }
  return current
}

/** Whether a package has an entry at a path, including links out of the store. */
async function entryExists({ listings, store }: TreeContext, path: string): Promise<boolean> {
  const parent = await followLinks(listings, posix.dirname(path), store)
  if (parent?.found.kind !== 'directory') return false
  return (await listings.look(`${parent.path}/${posix.basename(path)}`)) !== undefined
}

/**
 * Yields the entries of a tree: directories before their contents, names in byte order. Entries of the base are
 * omitted, except directories to which something is added.
 */
export function* entriesOf(tree: Tree, prefix = ''): Generator<PlainEntry> {
  for (const [name, node] of [...tree].sort(([a], [b]) => byText(a, b))) {
    const path = prefix + name
    if (node.kind === 'base' || (node.kind === 'alias' && node.inBase)) continue
    if (node.kind === 'link' || node.kind === 'alias') yield { kind: 'symlink', path, target: node.target }
    else {
      const owner = node.owner ? { owner: node.owner } : {}
      if (node.kind === 'file')
        yield { kind: 'file', path, mode: node.mode, content: { bytes: node.bytes }, ...owner }
      else {
        const inside = entriesOf(node.children, `${path}/`)
        const first = inside.next()
        if (node.inBase && first.done) continue
        yield { kind: 'directory', path, mode: node.mode ?? 0o755, ...owner }
        if (first.done) continue
        yield first.value
        yield* inside
      }
    }
  }
}
