import { follow } from '../../contents/follow.ts'
import type { StorePath } from '../../image/store-path.ts'
import type { Work } from '../work.ts'

/**
 * Where a package of nixpkgs notes what whoever uses it needs as well: separated by white space, for builds
 * (`propagatedBuildInputs`) and for profiles (`propagatedUserEnvPkgs`, which buildEnv follows).
 */
const notes = ['propagated-build-inputs', 'propagated-user-env-packages']

/** Bytes of such a file that are read; what hundreds of packages need takes less. */
const mostBytes = 1 << 17

/** The named packages, then what they propagate, and what that does in turn; the nearest first. */
export async function withPropagated({ packages, closure, listings, store }: Work): Promise<StorePath[]> {
  const known = new Set<string>(closure.map(({ storePath }) => storePath))
  const isKnown = (path: string): path is StorePath => known.has(path)
  // A set's iteration also visits what is added meanwhile.
  const found = new Set(packages)
  for (const path of found) {
    for (const note of notes) {
      const place = await follow(listings, `${path}/nix-support/${note}`, store)
      if (place?.found.kind !== 'file') continue
      const text = (await listings.read(place.path, mostBytes)).toString('latin1')
      for (const word of text.split(/\s+/)) if (isKnown(word)) found.add(word)
    }
  }
  return [...found]
}
