import type { PlainEntry } from '../contents/entry.ts'
import { follow } from '../contents/follow.ts'
import { byText } from '../image/store-path.ts'
import type { Node, Tree, Work } from './work.ts'

/**
 * Where something can be put at a path: the directory above it, made where there is none, and its name there. A link
 * to a package's directory on the way becomes a directory of links, so that something can be put beside what the
 * package has. Undefined where a package has something else in the way.
 * @param path absolute in the image: `/etc/passwd`
 */
export async function placeFor(
  work: Pick<Work, 'tree' | 'listings' | 'store'>,
  path: string,
): Promise<{ readonly parent: Tree; readonly name: string } | undefined> {
  const parts = path.slice(1).split('/')
  const name = parts.pop() ?? ''
  let parent = work.tree
  for (const part of parts) {
    const existing = parent.get(part)
    const children: Tree | undefined = existing ? await childrenOf(work, existing) : new Map()
    if (!children) return undefined
    if (existing?.kind !== 'directory') parent.set(part, { kind: 'directory', children })
    parent = children
  }
  return { parent, name }
}

/** Puts something at a path, as `placeFor` has it. What is there is kept. */
export async function put(
  work: Pick<Work, 'tree' | 'listings' | 'store'>,
  path: string,
  node: Node,
): Promise<void> {
  const place = await placeFor(work, path)
  if (place && !place.parent.has(place.name)) place.parent.set(place.name, node)
}

/** What is in a directory of the tree, or in the package's directory that a link leads to; undefined for others. */
export async function childrenOf(
  { listings, store }: Pick<Work, 'listings' | 'store'>,
  node: Node,
): Promise<Tree | undefined> {
  if (node.kind === 'directory') return node.children
  if (node.kind === 'file') return undefined
  const place = await follow(listings, node.target, store)
  if (place?.found.kind !== 'directory') return undefined
  const names = (await listings.list(place.path)).sort(byText)
  return new Map(names.map((name) => [name, { kind: 'link', target: `${node.target}/${name}` }]))
}

/** A tree as entries of an archive: each directory before what is in it, names in byte order. */
export function* entriesOf(tree: Tree, prefix = ''): Generator<PlainEntry> {
  for (const [name, node] of [...tree].sort(([a], [b]) => byText(a, b))) {
    const path = prefix + name
    const owner = node.kind !== 'link' && node.owner ? { owner: node.owner } : {}
    if (node.kind === 'link') yield { kind: 'symlink', path, target: node.target }
    else if (node.kind === 'file')
      yield { kind: 'file', path, mode: node.mode, content: { bytes: node.bytes }, ...owner }
    else {
      yield { kind: 'directory', path, mode: node.mode ?? 0o755, ...owner }
      yield* entriesOf(node.children, `${path}/`)
    }
  }
}
