import { posix } from 'node:path'
import type { PlainEntry } from '../contents/entry.ts'
import { follow } from '../contents/follow.ts'
import { byText } from '../image/store-path.ts'
import { shown, type Node, type Tree, type Work } from './work.ts'

type Within = Pick<Work, 'tree' | 'listings' | 'store' | 'warn'>

/** A place in the tree, and what is there. */
export type Place = { readonly parent: Tree; readonly name: string; readonly existing: Node | undefined }

/**
 * Where something can be put at a path: the directory above it, made where there is none, and its name there. A link
 * to a package's directory on the way becomes a directory of links, so that something can be put beside what the
 * package has. Anything else in the way is left out, and told of: a system needs its directories.
 * @param path absolute in the image: `/etc/passwd`
 */
export async function placeFor(work: Within, path: string): Promise<Place> {
  const name = posix.basename(path)
  const parent = await directoryAt(work, posix.dirname(path))
  return { parent, name, existing: parent.get(name) }
}

/** What is in the directory at a path, which is made as by `placeFor`. */
export async function directoryAt(work: Within, path: string): Promise<Tree> {
  let children = work.tree
  let done = ''
  const ahead = path.split('/').filter((part) => part !== '')
  for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
    done += `/${part}`
    const existing = children.get(part)
    if (existing?.kind === 'alias') {
      ahead.unshift(...existing.at.slice(1).split('/'))
      children = work.tree
      done = ''
      continue
    }
    children = await asDirectory(work, children, part, done)
  }
  return children
}

/** Makes what a name of a directory stands for a real directory, whatever it was. */
async function asDirectory(work: Within, parent: Tree, name: string, path: string): Promise<Tree> {
  const existing = parent.get(name)
  if (existing?.kind === 'directory') return existing.children
  const children = existing && (await childrenOf(work, existing))
  if (existing && !children) {
    const what = existing.kind === 'link' ? existing.target : path
    work.warn(`${shown(what)} is left out: ${shown(path)} is a directory`)
  }
  const made: Tree = children ?? new Map()
  parent.set(name, { kind: 'directory', children: made })
  return made
}

/** What is in the package's directory that a link leads to; undefined for anything else. */
async function childrenOf({ listings, store }: Within, node: Node): Promise<Tree | undefined> {
  if (node.kind !== 'link') return undefined
  const place = await follow(listings, node.target, store)
  if (place?.found.kind !== 'directory') return undefined
  const names = (await listings.list(place.path)).sort(byText)
  return new Map(names.map((name) => [name, { kind: 'link', target: `${node.target}/${name}` }]))
}

/** Puts something at a path unless something is there. */
export async function put(work: Within, path: string, node: Node): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  if (!existing) parent.set(name, node)
}

/** Puts a directory at a path, with what is there already and the mode and owner given. */
export async function putDirectory(
  work: Within,
  path: string,
  how: Pick<Extract<Node, { kind: 'directory' }>, 'mode' | 'owner'>,
): Promise<void> {
  const children = await directoryAt(work, path)
  const { parent, name } = await placeFor(work, path)
  parent.set(name, { kind: 'directory', children, ...how })
}

/**
 * Puts a link from one place in the image to another, and what is in a directory there into the other.
 * @param at where it leads, absolute
 * @param target what the link says
 */
export async function putAlias(work: Within, path: string, at: string, target = at): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  if (existing?.kind === 'alias') return
  if (existing) {
    const into = await directoryAt(work, at)
    for (const [child, node] of await asDirectory(work, parent, name, path)) {
      if (!into.has(child)) into.set(child, node)
    }
  }
  parent.set(name, { kind: 'alias', at, target })
}

/** What is at a path of the tree as it is: links to packages are looked through, nothing is made. */
export async function nodeAt(work: Within, path: string): Promise<Node | undefined> {
  let here: Node = { kind: 'directory', children: work.tree }
  const parts = path.slice(1).split('/')
  for (const [index, part] of parts.entries()) {
    if (here.kind === 'alias') return nodeAt(work, [here.at, ...parts.slice(index)].join('/'))
    if (here.kind === 'link') {
      const target = [here.target, ...parts.slice(index)].join('/')
      return (await lies(work, target)) ? { kind: 'link', target } : undefined
    }
    const next: Node | undefined = here.kind === 'directory' ? here.children.get(part) : undefined
    if (!next) return undefined
    here = next
  }
  return here
}

/** Whether a package has something at a path, were it a link that leads out of the store. */
async function lies({ listings, store }: Within, path: string): Promise<boolean> {
  const parent = await follow(listings, posix.dirname(path), store)
  if (parent?.found.kind !== 'directory') return false
  return (await listings.look(`${parent.path}/${posix.basename(path)}`)) !== undefined
}

/** A tree as entries of an archive: each directory before what is in it, names in byte order. */
export function* entriesOf(tree: Tree, prefix = ''): Generator<PlainEntry> {
  for (const [name, node] of [...tree].sort(([a], [b]) => byText(a, b))) {
    const path = prefix + name
    if (node.kind === 'link' || node.kind === 'alias') yield { kind: 'symlink', path, target: node.target }
    else {
      const owner = node.owner ? { owner: node.owner } : {}
      if (node.kind === 'file')
        yield { kind: 'file', path, mode: node.mode, content: { bytes: node.bytes }, ...owner }
      else {
        yield { kind: 'directory', path, mode: node.mode ?? 0o755, ...owner }
        yield* entriesOf(node.children, `${path}/`)
      }
    }
  }
}
