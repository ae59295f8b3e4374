import { accountFiles, childrenOf, directoryAt, isDirectory, isInBase, nodeAt, placeFor } from './tree.ts'
import { shown, type Node, type Tree, type Work } from './work.ts'

type Context = Pick<Work, 'tree' | 'listings' | 'store' | 'warn'>

// Directories below each other: packages may have links to directories above them.
const deepest = 40

/** Where libraries are. Those of the base stay: its programs need them, and those of Nix use none of them. */
const libraries = /^\/(usr\/(local\/)?)?lib(32|64|x32|exec)?\//

/**
 * Lays a tree of links over that of the base. Links to directories of the base are followed and never replaced, a
 * directory is never replaced by a link, and a link to a package's directory becomes links to what is in it where the base
 * has a directory. Files of packages replace those of the base, except for libraries and accounts.
 */
export async function layOver(work: Context, tree: Tree, path = ''): Promise<void> {
  for (const [name, node] of tree) {
    const at = `${path}/${name}`
    const { parent, name: last, existing } = await placeFor(work, at)
    if (at.split('/').length > deepest) work.warn(`${shown(at)} is ignored: its folders are too deep`)
    else if (node.kind === 'directory') {
      await directoryAt(work, at)
      await layOver(work, node.children, at)
    } else if (await isDirectory(work, existing)) {
      const children = await childrenOf(work, node)
      if (children) await layOver(work, children, at)
      else work.warn(`${shown(nameOf(node, at))} is ignored: ${shown(at)} is a directory of the base`)
    } else if (!isInBase(existing) || !(libraries.test(at) || accountFiles.has(at))) parent.set(last, node)
  }
}

const nameOf = (node: Node, path: string): string => (node.kind === 'link' ? node.target : path)

/** Where programs may be besides `/usr/bin`. */
const programFolders = ['/bin', '/sbin', '/usr/sbin']

/**
 * Links programs of packages, which are in `/usr/bin`, in the base's other folders of programs, too, where these are no
 * links to it: in `/bin` all of them, since that is where scripts look for them, and elsewhere those that the base has.
 */
export async function addBesidePrograms(work: Work): Promise<void> {
  const programs = await directoryAt(work, '/usr/bin')
  const own = [...programs].filter(([, node]) => node.kind === 'link')
  for (const path of programFolders) {
    if ((await nodeAt(work, path)) === undefined) continue
    const folder = await directoryAt(work, path)
    if (folder === programs) continue
    for (const [name, node] of own) {
      const existing = folder.get(name)
      if ((await isDirectory(work, existing)) || (path !== '/bin' && existing === undefined)) continue
      folder.set(name, node)
    }
  }
}
