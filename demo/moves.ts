import { posix } from 'node:path'

/** Files or whole folders to move into one folder, with unchanged names. */
export type Move = { into: string; paths: string[] }

/** A folder to rename. */
export type Rename = { from: string; to: string }

/**
 * The minimal moves from an archive's layout to the wanted one. `wanted` maps every path
 * of the archives to its destination; undefined if it is not wanted. A folder is moved as a whole if everything in it is
 * wanted and keeps its relative path, and if nothing else has the same destination.
 */
export function planMoves(wanted: ReadonlyMap<string, string | undefined>): {
  moves: Move[]
  renames: Rename[]
} {
  const root = buildTree(wanted)
  const arriving = new Map<string, number>()
  for (const to of wanted.values()) {
    if (to !== undefined)
      for (const folder of foldersOf(to)) arriving.set(folder, (arriving.get(folder) ?? 0) + 1)
  }
  const moves = new Map<string, string[]>()
  const renames: Rename[] = []
  const visit = (node: Tree): void => {
    for (const [name, child] of [...node.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const whole = wholeDestination(child)
      const alone = whole !== undefined && (child.children.size === 0 || arriving.get(whole) === child.files)
      if (!alone) visit(child)
      else if (posix.basename(whole) === name) {
        const into = posix.dirname(whole)
        moves.set(into, [...(moves.get(into) ?? []), child.path])
      } else renames.push({ from: child.path, to: whole })
    }
  }
  visit(root)
  return { moves: [...moves].map(([into, paths]) => ({ into, paths })), renames }
}

type Tree = { path: string; to: string | undefined; children: Map<string, Tree>; files: number }

function buildTree(wanted: ReadonlyMap<string, string | undefined>): Tree {
  const root: Tree = { path: '', to: undefined, children: new Map(), files: 0 }
  for (const [path, to] of wanted) {
    let node = root
    for (const name of path.split('/')) {
      node.files++
      const child = node.children.get(name) ?? {
        path: posix.join(node.path, name),
        to: undefined,
        children: new Map<string, Tree>(),
        files: 0,
      }
      node.children.set(name, child)
      node = child
    }
    node.to = to
  }
  return root
}

/** The destination of a whole node; undefined if its children must be moved separately. */
function wholeDestination(node: Tree): string | undefined {
  if (node.children.size === 0) return node.to
  let whole: string | undefined
  for (const [name, child] of node.children) {
    const to = wholeDestination(child)
    if (to === undefined || posix.basename(to) !== name) return undefined
    const parent = posix.dirname(to)
    if (parent === '.' || (whole !== undefined && whole !== parent)) return undefined
    whole = parent
  }
  return whole
}

function foldersOf(path: string): string[] {
  const folders: string[] = []
  for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) folders.push(folder)
  return folders
}
