import type { FileInfo, Listings } from './contents.ts'

/** Where a path leads, and what lies there, which is no link. */
export type Place = { readonly path: string; readonly found: Exclude<FileInfo, { kind: 'symlink' }> }

/** As many as Linux follows in one path (path_resolution(7)). */
const maxLinks = 40

/**
 * Follows all links of a path, as `realpath` does; undefined if it leads nowhere, or out of the store. Only the store
 * is looked at: a link to `/usr` means a place in the container, and never one on this machine.
 * @param path absolute, in the store
 * @param store the store's folder, absolute: `/nix/store`
 */
export async function follow(
  { look }: Pick<Listings, 'look'>,
  path: string,
  store: string,
): Promise<Place | undefined> {
  const above = store.slice(1).split('/')
  /** The names down to where we are; down to the store's folder they are `above`. */
  let here: string[] = []
  /** What lies here; undefined stands for a directory that was not looked at. */
  let found: Place['found'] | undefined
  let links = 0
  const ahead = partsOf(path)
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (found?.kind === 'file') return undefined
    if (name === '' || name === '.') continue
    if (name === '..') {
      here.pop()
      found = undefined
      continue
    }
    if (here.length < above.length) {
      if (name !== above[here.length]) return undefined
      here.push(name)
      continue
    }
    const next = await look(`/${[...here, name].join('/')}`)
    if (!next) return undefined
    if (next.kind !== 'symlink') {
      here.push(name)
      found = next
      continue
    }
    links += 1
    if (links > maxLinks || next.target === '') return undefined
    if (next.target.startsWith('/')) here = []
    found = undefined
    ahead.push(...partsOf(next.target))
  }
  if (here.length <= above.length) return undefined
  return { path: `/${here.join('/')}`, found: found ?? { kind: 'directory' } }
}

/** The names of a path, the first one last. */
const partsOf = (path: string): string[] => path.split('/').reverse()
