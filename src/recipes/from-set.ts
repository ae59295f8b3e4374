import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Catalog, ResolutionKey } from '../catalog/catalog.ts'
import { NixeryError } from '../errors.ts'
import type { Recipe } from '../image/recipes.ts'
import { keyOf } from '../image/canonical.ts'
import { isStorePath, parseStorePath } from '../image/store-path.ts'
import type { SetPolicy } from '../nix/evaluate.ts'
import type { ImageAnswer } from '../nix/image-recipes.ts'
import type { Nix } from '../nix/nix.ts'
import { stateOf, type PinnedSet } from '../packages/source.ts'
import type { RecipePlace } from './book.ts'
import { RecipeError } from './errors.ts'
import { includesOf, nameProblem } from './written.ts'
import type { OwnRecipe } from './include.ts'
import { normalise } from './normal.ts'
import { checkRecipe, formatProblem } from './parse.ts'
import type { SetRecipes } from './operator-book.ts'

export type SetRecipesOptions = {
  readonly nix: Pick<Nix, 'evaluateImage'>
  readonly policy: SetPolicy
  /** Stores results across restarts. */
  readonly catalog: Pick<Catalog, 'resolutions' | 'rememberResolutions'>
  /** Runs work that can be completed after the response. */
  readonly later: (work: Promise<unknown>) => void
}

// The number of cached results, of all revisions, and how long (ms) failures are cached.
const mostKept = 500
const failureKept = 10_000

/**
 * The recipes of a package set: its attribute `images`, a set of recipes by name. Each is evaluated separately, so that
 * a failure does not affect the others, and once for each revision and platform.
 */
export function createSetRecipes({ nix, policy, catalog, later }: SetRecipesOptions): SetRecipes {
  const kept = new LRUCache<string, Promise<ImageAnswer>>({ max: mostKept })

  const keyIn = ({ pinned: { revision }, platform: { system } }: RecipePlace, image: string | undefined) =>
    keyOf('resolution', 1, { image: image ?? null, revision, system, policy })

  const remember = async (key: ResolutionKey, answer: ImageAnswer, pinned: PinnedSet) => {
    // Clients can make up any number of names of recipes that do not exist.
    if ('failed' in answer || 'missing' in answer || !(await pinned.unchanged())) return
    await catalog.rememberResolutions(new Map([[key, answer]]), pinned.revision)
  }

  async function evaluate(image: string | undefined, place: RecipePlace): Promise<ImageAnswer> {
    const { pinned, platform, enter, again = false, ...demand } = place
    const key = JSON.stringify([stateOf(pinned), platform.system, image ?? null])
    const known = again ? undefined : kept.get(key)
    if (known) return known
    const inCatalog = keyIn(place, image)
    const remembered = again
      ? undefined
      : (await catalog.resolutions([inCatalog], parseAnswer)).get(inCatalog)
    // Another caller may have started in the meantime.
    const cached = again ? undefined : kept.get(key)
    if (cached) return cached
    if (remembered) {
      kept.set(key, Promise.resolve(remembered))
      return remembered
    }
    enter?.()
    const { set } = pinned
    // The first caller may disconnect while others wait for the same result.
    const { signal: _signal, ...watch } = demand
    const lookUp = { set, ...policy, system: platform.system, image, instantiated: again }
    const found = nix.evaluateImage(lookUp, watch)
    kept.set(key, found)
    later(found.then((answer) => remember(inCatalog, answer, pinned)).catch(() => {}))
    const forget = () => {
      if (kept.peek(key) === found) kept.delete(key)
    }
    const forgetFailure = async () => {
      const answer = await found.catch(() => undefined)
      if (answer === undefined) forget()
      else if ('failed' in answer) setTimeout(forget, failureKept).unref()
    }
    void forgetFailure()
    return found
  }

  return {
    async names(place) {
      const answer = await evaluate(undefined, place)
      if ('failed' in answer)
        throw new NixeryError('SOURCE_INVALID', `the package set does not evaluate:\n${answer.failed}`)
      return 'names' in answer ? answer.names.filter((name) => nameProblem(name) === undefined) : []
    },
    async own(name, place) {
      const answer = await evaluate(name, place)
      if ('missing' in answer || 'names' in answer) return undefined
      if ('failed' in answer) throw new RecipeError(name, undefined, `does not evaluate:\n${answer.failed}`)
      return ownOf(name, answer.recipe, answer.roots)
    },
  }
}

const root = z.object({
  outputPath: z.string().transform((text) => parseStorePath(text)),
  drvPath: z
    .string()
    .transform((text) => parseStorePath(text))
    .exactOptional(),
  output: z.string().exactOptional(),
})
const answerForm = z.union([
  z.object({ names: z.array(z.string()) }),
  z.object({ missing: z.literal(true) }),
  z.object({ recipe: z.unknown(), roots: z.array(root) }),
])

/** Undefined if this version cannot read it. */
function parseAnswer(text: string): ImageAnswer | undefined {
  try {
    return answerForm.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

function ownOf(
  name: string,
  value: unknown,
  roots: Extract<ImageAnswer, { recipe: unknown }>['roots'],
): OwnRecipe {
  const refused = nameProblem(name)
  if (refused !== undefined) throw new RecipeError(name, undefined, refused)
  const checked = checkRecipe(name, withStore(value))
  if (!checked.ok) {
    throw new NixeryError(
      'RECIPE_INVALID',
      checked.problems.map((problem) => formatProblem(problem)).join('\n'),
    )
  }
  const { written } = checked
  const lost = written.files?.find(({ source }) => source !== undefined)
  if (lost) {
    throw new RecipeError(
      name,
      'files',
      `the source of ${lost.path} is not in the store: use a Nix path, such as ./file`,
    )
  }
  const recipe: Recipe = normalise(name, written)
  return {
    recipe,
    roots: roots.map(({ outputPath, drvPath, output }) => ({
      outputPath,
      ...(drvPath !== undefined && output !== undefined && { of: { drvPath, output } }),
    })),
    include: includesOf(written),
  }
}

const withFiles = z.looseObject({ files: z.array(z.looseObject({ source: z.string() }).or(z.unknown())) })

/** In Nix, the source of a file is a path or a derivation, both of which are in the store. */
function withStore(value: unknown): unknown {
  const parsed = withFiles.safeParse(value)
  if (!parsed.success) return value
  const files = parsed.data.files.map((file) => {
    if (typeof file !== 'object' || file === null || !('source' in file)) return file
    const { source, ...rest } = file
    return typeof source === 'string' && isStorePath(rootOf(source)) ? { ...rest, store: source } : file
  })
  return { ...parsed.data, files }
}

/** The store path that contains a path. */
const rootOf = (path: string): string => path.split('/').slice(0, 4).join('/')
