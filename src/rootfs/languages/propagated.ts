import { followLinks } from '../../contents/follow-links.ts'
import type { StorePath } from '../../image/store-path.ts'
import type { Work } from '../work.ts'

/**
 * Files with the store paths that a package of nixpkgs propagates, separated by white space: to builds
 * (`propagatedBuildInputs`) and to profiles (`propagatedUserEnvPkgs`, which buildEnv follows).
 */
const propagationFiles = ['propagated-build-inputs', 'propagated-user-env-packages']

/** The number of bytes that are read of such a file, enough for hundreds of packages. */
const maxBytes = 1 << 17

/** The requested packages and all that they propagate, transitively; the nearest first. */
export async function withPropagated({ packages, closure, listings, store }: Work): Promise<StorePath[]> {
  const known = new Set<string>(closure.map(({ storePath }) => storePath))
  const isKnown = (path: string): path is StorePath => known.has(path)
  // Iterating over a set also visits elements added during the iteration.
  const reached = new Set(packages)
  for (const path of reached) {
    for (const name of propagationFiles) {
      const place = await followLinks(listings, `${path}/nix-support/${name}`, store)
      if (place?.found.kind !== 'file') continue
      const text = (await listings.read(place.path, maxBytes)).toString('latin1')
      for (const word of text.split(/\s+/)) if (isKnown(word)) reached.add(word)
    }
  }
  return [...reached]
}
