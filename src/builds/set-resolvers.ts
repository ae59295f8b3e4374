import { inSet } from '../packages/in-set.ts'
import type { Resolver } from './resolve.ts'

/** A resolver for several package sets, by name. Its errors name the set. */
export function resolverOfSets(resolvers: ReadonlyMap<string, Resolver>): Resolver {
  const of = (name: string | undefined): [string, Resolver] => {
    const resolver = name === undefined ? undefined : resolvers.get(name)
    if (name === undefined || !resolver) throw new Error(`unknown package set: ${name}`)
    return [name, resolver]
  }
  return {
    async resolve(request, pinned, options) {
      const [name, resolver] = of(pinned.name)
      try {
        return await resolver.resolve(request, pinned, options)
      } catch (error) {
        throw inSet(name, error)
      }
    },
    async hasPackage(word, platform, pinned) {
      const [, resolver] = of(pinned.name)
      return resolver.hasPackage(word, platform, pinned)
    },
  }
}
