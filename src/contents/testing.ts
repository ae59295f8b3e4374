import type { Tree } from '../layers/testing.ts'
import type { Contents, FileInfo, Listings } from './contents.ts'
import { localStore } from './local.ts'
import { programOf } from './contents.ts'

/** The local store without Nix: it has no facts. */
export const localContents: Contents = localStore(async () => {
  throw new Error('no facts are known here')
})

/**
 * Trees in memory. As strict as possible: nothing else exists, links are never followed, and only directories can be
 * listed.
 * @param trees by store path
 */
export function memoryListings(trees: ReadonlyMap<string, Tree>): Listings {
  const at = (path: string): Tree | undefined => {
    const root = [...trees.keys()].find((one) => path === one || path.startsWith(`${one}/`))
    if (root === undefined) return undefined
    let here = trees.get(root)
    for (const name of path.slice(root.length + 1).split('/')) {
      if (name === '') continue
      if (here && 'target' in here) throw new Error(`${path} has a link on the way`)
      here = here && 'children' in here ? here.children.find(([one]) => one === name)?.[1] : undefined
    }
    return here
  }
  return {
    async look(path): Promise<FileInfo | undefined> {
      const tree = at(path)
      if (!tree) return undefined
      if ('target' in tree) return { kind: 'symlink', target: tree.target }
      if ('children' in tree) return { kind: 'directory' }
      return { kind: 'file', program: programOf(Buffer.from(tree.bytes)) }
    },
    async list(path) {
      const tree = at(path)
      if (!tree || !('children' in tree)) throw new Error(`${path} is not a directory`)
      return tree.children.map(([name]) => name)
    },
    async read(path, most) {
      const tree = at(path)
      if (!tree || !('bytes' in tree)) throw new Error(`${path} is not a file`)
      return Buffer.from(tree.bytes.subarray(0, most))
    },
  }
}
