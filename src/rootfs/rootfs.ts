import type { Listings } from '../contents/contents.ts'
import type { PlainEntry } from '../contents/entry.ts'
import { once } from '../contents/once.ts'
import type { Platform } from '../image/platform.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import { addEssentials } from './essentials.ts'
import { linkForest, type Conflict, type Tree } from './forest.ts'

/** Raise it when the same packages begin to give another tree: it is part of the layer's key. */
export const rootfsVersion = 3

/** Variables that a container of the image starts with. */
export const environment: readonly string[] = [
  'PATH=/bin:/sbin:/usr/bin:/usr/sbin',
  'SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
]

/**
 * The last layer of an image: the tree of links that makes a heap of store paths look like a system.
 * A function of the packages, the closure and the platform, given what `contents` says of them.
 * @param packages the requested packages' outputs in order; the first wins a conflict
 * @param closure all paths of the image, in byte order
 */
export async function rootfs(
  contents: Listings,
  packages: readonly StorePath[],
  closure: readonly StorePath[],
  platform: Platform,
): Promise<{ entries: PlainEntry[]; conflicts: Conflict[] }> {
  const listings = once(contents)
  const { tree, conflicts } = await linkForest(listings, packages)
  await addEssentials(listings, tree, [...packages, ...closure], platform)
  // So that a runtime does not choose modes for the store's own folders.
  tree.set('nix', {
    kind: 'directory',
    children: new Map([['store', { kind: 'directory', children: new Map() }]]),
  })
  return { entries: [...entriesOf(tree, '')], conflicts: conflicts.map(readable) }
}

function* entriesOf(tree: Tree, prefix: string): Generator<PlainEntry> {
  for (const [name, node] of [...tree].sort(([a], [b]) => byText(a, b))) {
    const path = prefix + name
    if (node.kind === 'link') yield { kind: 'symlink', path, target: node.target }
    else if (node.kind === 'file')
      yield { kind: 'file', path, mode: node.mode, content: { bytes: Buffer.from(node.text) } }
    else {
      yield { kind: 'directory', path, mode: node.mode ?? 0o755 }
      yield* entriesOf(node.children, `${path}/`)
    }
  }
}

/** A conflict for people: names as text, with a sign in place of what is not UTF-8. */
const readable = ({ path, taken, left }: Conflict): Conflict => ({
  path: text(path),
  taken: text(taken),
  left: text(left),
})
const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()
