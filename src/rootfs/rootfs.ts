import type { Platform } from '../image/platform.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import { addEssentials } from './essentials.ts'
import { linkForest, type Conflict, type Tree } from './forest.ts'

/** Raise it when the same packages begin to give another tree: it is part of the layer's key. */
export const rootfsVersion = 3

/** An entry of the last layer, in the shape that `layers/archive.ts` packs. */
export type RootfsEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly content: { readonly bytes: Uint8Array }
    }

/** Variables that a container of the image starts with. */
export const environment: readonly string[] = [
  'PATH=/bin:/sbin:/usr/bin:/usr/sbin',
  'SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
]

/**
 * The last layer of an image: the tree of links that makes a heap of store paths look like a system.
 * Reads the packages' directories, so they must be in the store. A function of the packages and the platform.
 * @param packages the requested packages' outputs in order; the first wins a conflict
 * @param closure all paths of the image, in byte order
 */
export async function rootfs(
  packages: readonly StorePath[],
  closure: readonly StorePath[],
  platform: Platform,
): Promise<{ entries: RootfsEntry[]; conflicts: Conflict[] }> {
  const { tree, conflicts } = await linkForest(packages)
  await addEssentials(tree, [...packages, ...closure], platform)
  // So that a runtime does not choose modes for the store's own folders.
  tree.set('nix', {
    kind: 'directory',
    children: new Map([['store', { kind: 'directory', children: new Map() }]]),
  })
  return { entries: [...entriesOf(tree, '')], conflicts }
}

function* entriesOf(tree: Tree, prefix: string): Generator<RootfsEntry> {
  for (const [name, node] of [...tree].sort(([a], [b]) => byText(a, b))) {
    const path = prefix + bytes(name)
    if (node.kind === 'link') yield { kind: 'symlink', path, target: bytes(node.target) }
    else if (node.kind === 'file')
      yield { kind: 'file', path, mode: node.mode, content: { bytes: Buffer.from(node.text) } }
    else {
      yield { kind: 'directory', path, mode: node.mode ?? 0o755 }
      yield* entriesOf(node.children, `${path}/`)
    }
  }
}

/** Archives want names as bytes. */
const bytes = (text: string): string => Buffer.from(text).toString('latin1')
