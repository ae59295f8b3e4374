import { LRUCache } from 'lru-cache'
import { hasCode } from '../errors.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import { isBuiltIn } from '../image/recipes.ts'

/** The packages of each of the operator's recipes, by the recipe's name. */
export type Contents = ReadonlyMap<string, readonly string[]>

/** The contents of the operator's recipes, for rules that deny packages. */
export type RecipeContents = {
  /** The last known contents of the recipes of a request, without waiting; undefined if unknown. */
  of(request: ImageRequest): Contents | undefined
  /**
   * Looks the contents up, unless that was done recently. What cannot be looked up stays unknown.
   * @param mayEvaluate whether the package set may be evaluated for it
   */
  look(request: ImageRequest, mayEvaluate: () => boolean): Promise<void> | undefined
}

export type RecipeContentsOptions = {
  readonly find: (request: ImageRequest, mayEvaluate: boolean) => Promise<Contents>
  /** Whether recipes need no `recipe/` prefix. */
  readonly bare: boolean
}

// Clients choose the names; each takes some kilobytes. Milliseconds until a recipe is checked again.
const mostKept = 2_000
const believed = 1_000

const nothing: Contents = new Map()

export function createRecipeContents({ find, bare }: RecipeContentsOptions): RecipeContents {
  const kept = new LRUCache<string, { readonly contents: Contents; readonly at: number }>({ max: mostKept })
  const looking = new Map<string, Promise<void>>()
  const mayHave = ({ recipes, packages }: ImageRequest): boolean =>
    recipes.some((name) => !isBuiltIn(name)) || (bare && packages.length > 0)
  const keyOf = (request: ImageRequest) =>
    `${request.platform.architecture} ${formatImageName(request)}:${request.tag}`

  const lookUp = async (key: string, request: ImageRequest, mayEvaluate: boolean): Promise<void> => {
    try {
      kept.set(key, { contents: await find(request, mayEvaluate), at: performance.now() })
    } catch (error) {
      // A recipe that does not exist has no packages; the reply says so.
      if (hasCode(error, 'RECIPE_UNKNOWN')) kept.set(key, { contents: nothing, at: performance.now() })
      else kept.delete(key)
    }
  }
  return {
    of: (request) => (mayHave(request) ? kept.get(keyOf(request))?.contents : nothing),
    look(request, may) {
      if (!mayHave(request)) return undefined
      const key = keyOf(request)
      const known = kept.get(key)
      if (known && performance.now() < known.at + believed) return undefined
      const mayEvaluate = may()
      const flight = `${mayEvaluate} ${key}`
      const found =
        looking.get(flight) ?? lookUp(key, request, mayEvaluate).finally(() => looking.delete(flight))
      looking.set(flight, found)
      return found
    },
  }
}
