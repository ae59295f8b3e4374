import { accountFiles, childrenOf, directoryAt, isDirectory, isInBase, nodeAt, placeFor } from './tree.ts'
import { shown, type Node, type Tree, type Work } from './work.ts'

type Context = Pick<Work, 'tree' | 'listings' | 'store' | 'warn'>

// The maximum depth of directories: packages may contain links to parent directories.
const deepest = 40

/**
 * Folders of libraries. The base's libraries are kept: its programs need them, and programs of Nix use none of them.
 */
const libraries = /^\/(usr\/(local\/)?)?lib(32|64|x32|exec)?\//

/**
 * Merges a tree of links into the tree of the base. Links to directories of the base are followed and never replaced, a
 * directory is never replaced by a link, and a link to a package's directory becomes a directory of links if the base
 * has a directory there. Files of packages replace those of the base, except for libraries and accounts.
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

/** Folders of programs other than `/usr/bin`. */
const programFolders = ['/bin', '/sbin', '/usr/sbin']

/**
 * Links the programs of packages, which are in `/usr/bin`, in the base's other program folders, unless these are links
 * to it: all of them in `/bin`, where scripts look for them, and in other folders those that the base has there.
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
