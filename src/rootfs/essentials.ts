import { dirname } from 'node:path'
import type { Listings } from '../contents/contents.ts'
import { follow } from '../contents/follow.ts'
import type { Platform } from '../image/platform.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import type { Node, Tree } from './forest.ts'

/** The files that programs expect of a system, where no package brings them. */
const files: readonly [path: string, text: string][] = [
  ['/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/false\n'],
  ['/etc/group', 'root:x:0:\nnobody:x:65534:\n'],
  [
    '/etc/nsswitch.conf',
    'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  ],
]

const folders: readonly [path: string, mode: number][] = [
  ['/root', 0o700],
  ['/tmp', 0o1777],
  ['/var/empty', 0o555],
  ['/var/tmp', 0o1777],
]

/** Programs that scripts name by these very paths. */
const programs: readonly [path: string, program: string][] = [
  ['/bin/sh', 'bin/sh'],
  ['/usr/bin/env', 'bin/env'],
]

/**
 * Adds to a tree what makes it look like a system: accounts, temporary folders, `/bin/sh` and `/usr/bin/env`.
 * What a package brings is kept, but for the modes of temporary folders.
 * @param closure where the programs are looked for: the requested packages first, then what they need
 */
export async function addEssentials(
  listings: Listings,
  tree: Tree,
  closure: readonly StorePath[],
  platform: Platform,
): Promise<void> {
  const context = { listings, store: dirname(closure[0] ?? '/nix/store/none') }
  for (const [path, text] of files) {
    const { parent, name } = await descend(tree, path, context)
    if (parent && !parent.has(name)) parent.set(name, { kind: 'file', text, mode: 0o644 })
  }
  for (const [path, mode] of folders) {
    const { parent, name } = await descend(tree, path, context)
    const existing = parent?.get(name)
    const children = existing && (await childrenOf(existing, context))
    parent?.set(name, { kind: 'directory', mode, children: children ?? new Map() })
  }
  for (const [path, program] of programs) {
    const { parent, name } = await descend(tree, path, context)
    if (!parent || parent.has(name)) continue
    const target = await findProgram(closure, program, platform, context)
    if (target) parent.set(name, { kind: 'link', target })
  }
}

type Context = { readonly listings: Listings; readonly store: string }

/**
 * The directory that a path lies in, made where there is none. A link to a package's directory becomes a directory
 * of links, so that something can be put beside them; undefined where a package has a file instead.
 */
async function descend(
  tree: Tree,
  path: string,
  context: Context,
): Promise<{ parent: Tree | undefined; name: string }> {
  const parts = path.slice(1).split('/')
  const name = parts.pop() ?? ''
  let parent: Tree = tree
  for (const part of parts) {
    const existing: Node | undefined = parent.get(part)
    const children: Tree | undefined = existing ? await childrenOf(existing, context) : new Map()
    if (!children) return { parent: undefined, name }
    if (existing?.kind !== 'directory') parent.set(part, { kind: 'directory', children })
    parent = children
  }
  return { parent, name }
}

async function childrenOf(node: Node, { listings, store }: Context): Promise<Tree | undefined> {
  if (node.kind === 'directory') return node.children
  if (node.kind === 'file') return undefined
  const place = await follow(listings, node.target, store)
  if (place?.found.kind !== 'directory') return undefined
  const names = (await listings.list(place.path)).sort(byText)
  return new Map(names.map((name) => [name, { kind: 'link', target: `${node.target}/${name}` }]))
}

/** The first of these paths that has this program, for this platform. A script runs wherever its interpreter does. */
async function findProgram(
  closure: readonly StorePath[],
  program: string,
  { architecture }: Platform,
  { listings, store }: Context,
): Promise<string | undefined> {
  for (const storePath of closure) {
    const path = `${storePath}/${program}`
    const found = (await follow(listings, path, store))?.found
    if (found?.kind !== 'file') continue
    if (found.program === 'script' || found.program === architecture) return path
  }
  return undefined
}
