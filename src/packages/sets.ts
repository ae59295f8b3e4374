import type { ImageRequest } from '../image/name.ts'
import { byText } from '../image/store-path.ts'
import { inSet } from './in-set.ts'
import type { PackageSource, PinnedSet } from './source.ts'

/** The part of a request that names its package set. */
export type SetQuery = Pick<ImageRequest, 'set' | 'tag' | 'packages' | 'platform' | 'behind'>

/** A request with resolved words, and its package set at the revision of its tag. */
export type PinnedRequest<Request extends SetQuery> = {
  readonly request: Request
  readonly pinned: PinnedSet
}

/** The package sets of a server: one, or several by name. */
export type PackageSets = {
  /** The sources by name, the default one first; a single one has no name. */
  readonly sources: ReadonlyMap<string | undefined, PackageSource>
  /** Pins the package set of a request. @throws what `PackageSource.pin` throws, with the name of the set */
  pin<Request extends SetQuery>(
    request: Request,
    options?: { readonly old?: boolean },
  ): Promise<PinnedRequest<Request>>
  /** The result of `pin` with `old` if it is known without any check. */
  current<Request extends SetQuery>(request: Request): PinnedRequest<Request> | undefined
  /** The source that a request's packages come from. */
  sourceOf(request: SetQuery): Promise<PackageSource>
}

/** A single package set, whose name no image has. */
export const oneSet = (source: PackageSource): PackageSets => ({
  sources: new Map([[undefined, source]]),
  pin: async (request, options) => ({ request, pinned: await source.pin(request.tag, options) }),
  current(request) {
    const pinned = source.current?.(request.tag)
    return pinned && { request, pinned }
  },
  sourceOf: () => Promise.resolve(source),
})

/** Decides whether the default set has a package with the name of another set. */
export type WordMeaning = {
  isPackage(word: string, platform: SetQuery['platform']): Promise<boolean>
  /** The same if it is known without any check. */
  known(word: string, platform: SetQuery['platform']): boolean | undefined
}

/**
 * Several package sets by name, of which the first is the default. A request's `set` means the package set unless the
 * default set has a package of that name.
 */
export function severalSets(sources: ReadonlyMap<string, PackageSource>, meaning: WordMeaning): PackageSets {
  const [first = ''] = sources.keys()
  const names = new WeakMap<PinnedSet, PinnedSet>()
  const named = (pinned: PinnedSet, name: string): PinnedSet => {
    const known = names.get(pinned) ?? { ...pinned, name }
    names.set(pinned, known)
    return known
  }
  const sourceNamed = (name: string): PackageSource => {
    const source = sources.get(name)
    if (!source) throw new Error(`there is no package set ${name}`)
    return source
  }
  const requests = new WeakMap<SetQuery, SetQuery>()
  /** The request with its word as a package; the same object for the same request. */
  const withPackage = <Request extends SetQuery>(request: Request, word: string): Request => {
    const known = requests.get(request) ?? packageInPlace(request, word)
    requests.set(request, known)
    return known as Request
  }
  const decided = <Request extends SetQuery>(request: Request, isPackage: boolean) => {
    const { set } = request
    if (set === undefined || !isPackage) return { request, name: set ?? first }
    return { request: withPackage(request, set), name: first }
  }
  const decide = async <Request extends SetQuery>(request: Request) => {
    const { set, platform } = request
    return decided(request, set !== undefined && (await meaning.isPackage(set, platform)))
  }

  return {
    sources,
    async pin(request, options) {
      const decision = await decide(request)
      try {
        const pinned = await sourceNamed(decision.name).pin(decision.request.tag, options)
        return { request: decision.request, pinned: named(pinned, decision.name) }
      } catch (error) {
        throw inSet(decision.name, error)
      }
    },
    current(request) {
      const isPackage = request.set === undefined ? false : meaning.known(request.set, request.platform)
      if (isPackage === undefined) return undefined
      const decision = decided(request, isPackage)
      const pinned = sourceNamed(decision.name).current?.(decision.request.tag)
      return pinned && { request: decision.request, pinned: named(pinned, decision.name) }
    },
    sourceOf: async (request) => sourceNamed((await decide(request)).name),
  }
}

function packageInPlace(asked: SetQuery, word: string): SetQuery {
  const { set: _, ...request } = asked
  const packages = [...new Set([...request.packages, word])].sort(byText)
  return { ...request, packages, behind: [...new Set([...(request.behind ?? []), word])].sort(byText) }
}
