import type { Catalog, ResolutionKey } from '../catalog/catalog.ts'
import { NixeryError } from '../errors.ts'
import { keyOf } from '../image/canonical.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import { builtIn } from '../image/recipes.ts'
import { partsOfName } from '../image/spelling.ts'
import type { LookUp, SetPolicy } from '../nix/evaluate.ts'
import type { Nix } from '../nix/nix.ts'
import { choosePackages } from '../packages/choose.ts'
import { limitsOf, type NameFilter } from '../packages/policy.ts'
import type { Hints } from '../packages/refusals.ts'
import {
  packageTexts,
  parseResolution,
  resolutionKey,
  type ChosenOutput,
  type Resolution,
} from '../packages/resolution.ts'
import { stateOf, type PinnedSet } from '../packages/source.ts'
import { createAllowance, type Allowance } from '../queue/allowance.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { decideWords, isPackage, packagesOf } from '../packages/image-packages.ts'
import type { RecipeBook } from '../recipes/book.ts'
import { deniedDerivations, refuseDenied } from './denied.ts'
import type { Emit } from './events.ts'
import { findRecipes, recipeIn, refuseClash, togetherOf, type TogetherRecipes } from './find-recipes.ts'
import { notReady } from './not-ready.ts'
import { denied, resolutionOf } from './resolution-of.ts'
import { noteVersions, resolveVersions, versionsIn, type OtherVersions } from './resolve-versions.ts'
import { createPassingFailures, type PassingFailures } from './passing.ts'

export type ResolverDeps = {
  readonly catalog: Catalog
  readonly nix: Nix
  readonly recipes: Pick<RecipeBook, 'find' | 'bareNames'>
  readonly policy: SetPolicy
  /** Which packages may be requested. It does not apply to the packages that every image has. */
  readonly filter: NameFilter
  /** Receives a line for the operator for each denied name whose derivation cannot be determined. */
  readonly warn: (line: string) => void
  /** Receives work that continues after the result is returned; the process waits for it before it ends. */
  readonly later: (work: Promise<unknown>) => void
  /** Other versions than those of the pinned revision, if there is an index of them. */
  readonly versions?: OtherVersions | undefined
  /** Suggests names for one that does not exist, the most likely first; none by default. */
  readonly hints?: Hints | undefined
  /** Failures remembered for a short time; by default for the usual one. */
  readonly passing?: PassingFailures
  /** How many failures may be stored, half a kilobyte each: clients can make up 30 names in a request. */
  readonly failures?: Allowance
}

export type Resolver = {
  /**
   * Resolves the names of an image to outputs of packages, in the image's order, and decides which of its leading words are
   * recipes: those without a package of that name in the set. Only names that are unknown in this revision are evaluated;
   * the results are stored unless the package set has changed in the meantime. So are failures: those of the package for as
   * long as the revision is served, others, and those of too many names, for some seconds.
   * @param options.again evaluates all names, because Nix has to build them and does not have their derivations
   * @throws PACKAGE_UNKNOWN, PACKAGE_INVALID, PACKAGE_DENIED, SOURCE_INVALID, EVALUATION_TIMEOUT, NIX_UNAVAILABLE,
   *   CANCELLED
   */
  resolve(request: ImageRequest, pinned: PinnedSet, options: ResolveOptions): Promise<ResolvedRequest>
  /** Whether the set has a package of this name, usable or not. @throws like `resolve` */
  hasPackage(name: string, platform: Platform, pinned: PinnedSet): Promise<boolean>
}

export type ResolvedRequest = TogetherRecipes & { readonly packages: readonly ChosenOutput[] }

export type ResolveOptions = PartialDemand & {
  readonly emit: Emit
  /** Called before an evaluation; may refuse it by throwing. */
  readonly enter?: () => void
  readonly again?: boolean
  /** Do not evaluate: unknown names fail with NOT_READY. */
  readonly readyOnly?: true
}

/** `written`: the names that a client wrote and may have made up; failures of others are always stored. */
type LookUpOptions = ResolveOptions & { readonly written?: ReadonlySet<string> }

export function createResolver({
  catalog,
  nix,
  recipes,
  policy,
  filter,
  warn,
  later,
  versions,
  hints,
  passing = createPassingFailures(),
  failures = createAllowance(1_000, 100),
}: ResolverDeps): Resolver {
  const findDenied = deniedDerivations({ catalog, nix, policy, names: filter.deniedNames, warn, later })

  /**
   * Adds the resolutions of names, stored or evaluated.
   * @param limited the names to which the filter applies
   * @returns the number of evaluated names
   */
  async function lookUpAll(
    all: readonly string[],
    limited: ReadonlySet<string>,
    { platform }: Pick<ImageRequest, 'platform'>,
    pinned: PinnedSet,
    { signal, urgency, emit, enter, again = false, readyOnly, written }: LookUpOptions,
    resolutions: Map<string, Resolution>,
  ): Promise<number> {
    const state = stateOf(pinned)
    const keys = new Map<string, ResolutionKey>()
    for (const name of all) {
      if (resolutions.has(name)) continue
      const inputs = limited.has(name) ? filter.inputs : undefined
      keys.set(name, resolutionKey(pinned.revision, platform, name, { ...policy, filter: inputs }))
    }
    const remembered = again ? undefined : await catalog.resolutions([...keys.values()], parseResolution)
    const unknown: string[] = []
    for (const [name, key] of keys) {
      const known = again ? undefined : (remembered?.get(key) ?? passing.resolution(`${key} ${state}`))
      if (known) resolutions.set(name, known)
      else unknown.push(name)
    }
    if (unknown.length === 0) return 0
    if (readyOnly) throw notReady()

    if (again) nix.forget(state)
    const lookUp: LookUp = {
      set: pinned.set,
      revision: state,
      ...policy,
      system: platform.system,
      attributes: unknown.map(partsOfName),
      ...(again && { instantiated: true }),
      ...(filter.inputs !== undefined && {
        limits: limitsOf(
          unknown.filter((name) => limited.has(name)),
          filter,
        ),
      }),
    }
    const onLine = (line: string) => emit({ type: 'nix', line })
    const looked = await passing.run(
      keyOf('evaluation', 1, { state, system: platform.system, policy }),
      unknown.join(' '),
      () => {
        enter?.()
        emit({ type: 'evaluating', names: unknown.length })
        return nix.evaluate(lookUp, { signal, urgency, onLine })
      },
    )
    const fresh = new Map<ResolutionKey, Resolution>()
    for (const [index, name] of unknown.entries()) {
      const answer = looked[index]
      if (!answer) throw new Error(`Nix gave no answer for ${name}`)
      const resolution = resolutionOf(name, answer, platform, limited.has(name) ? filter : undefined)
      resolutions.set(name, resolution)
      const key = keys.get(name) as ResolutionKey
      const isPassing = answer.status === 'failed' && !answer.lasting
      const isStored = !isPassing && (answer.status === 'package' || !written?.has(name) || failures.take())
      if (isStored) fresh.set(key, resolution)
      // Lasting failures too: until they are stored, which may take a while.
      if (answer.status !== 'package') passing.note(`${key} ${state}`, resolution)
    }
    const remember = async () => {
      if (!(await pinned.unchanged())) return nix.forget(state)
      await catalog.rememberResolutions(fresh, pinned.revision)
      if (versions) await noteVersions(versions, pinned, fresh.values())
    }
    later(remember())
    return unknown.length
  }

  return {
    async hasPackage(name, platform, pinned) {
      const resolutions = new Map<string, Resolution>()
      const options = { signal: undefined, emit: () => {} }
      await lookUpAll([name], new Set([name]), { platform }, pinned, options, resolutions)
      const found = resolutions.get(name)
      if (found?.status === 'invalid' && found.kind === 'passing')
        throw new NixeryError('PACKAGE_INVALID', `${name}: ${found.reason}`)
      return isPackage(found)
    },

    async resolve(original, pinned, options) {
      const started = performance.now()
      const resolutions = new Map<string, Resolution>()
      const { request, found: foundRecipes, loaded } = await findRecipes(recipes, original, pinned, options)
      refuseDenied({ request, recipes: foundRecipes, packages: request.packages }, filter)
      const bare = foundRecipes.filter(({ name }) => original.packages.includes(name))
      if (bare.length > 0) {
        await refuseClash(bare, async (names) => {
          await lookUpAll(names, new Set(names), request, pinned, options, resolutions)
          return resolutions
        })
      }
      const { words } = request
      let evaluated =
        words.length === 0 ? 0 : await lookUpAll(words, new Set(words), request, pinned, options, resolutions)
      const decided = decideWords(request, resolutions, (name) => builtIn(name) ?? recipeIn(loaded, name))
      refuseDenied(decided, filter)
      const wanted = packagesOf(decided)
      const named = wanted.flatMap(({ names, implied }) => (implied ? [] : names))
      const versioned = versionsIn(named)
      const withoutVersions = versioned.map(({ name }) => name)
      const limited = new Set([...named, ...withoutVersions])
      // Look up denied words, too: only the package set knows whether they are packages.
      for (const name of limited) if (filter.denies(name)) resolutions.set(name, denied)
      const names = [...new Set([...wanted.flatMap((each) => each.names), ...withoutVersions])]
      const ofClient = { ...options, written: new Set([...request.packages, ...withoutVersions]) }
      const lookedUp = lookUpAll(names, limited, request, pinned, ofClient, resolutions)
      // If all names are known, the denied derivations are known, too.
      if (options.readyOnly) await lookedUp
      const [isDenied, more] = await Promise.all([findDenied?.(pinned, request.platform), lookedUp])
      evaluated += more
      for (const name of limited) {
        const found = resolutions.get(name)
        if (found?.status === 'package' && isDenied?.(found)) resolutions.set(name, denied)
      }
      // Look for missing versions in other revisions, which may have to be fetched.
      const isElsewhere = ({ written }: { written: string }) => resolutions.get(written)?.status === 'missing'
      if (options.readyOnly && versioned.some(isElsewhere)) throw notReady()
      const commits = await resolveVersions(versioned, resolutions, versions, async (name, other) => {
        const there = new Map<string, Resolution>()
        const [isDeniedThere, count] = await Promise.all([
          findDenied?.(other, request.platform),
          lookUpAll([name], new Set([name]), request, other, ofClient, there),
        ])
        evaluated += count
        const found = there.get(name)
        return found?.status === 'package' && isDeniedThere?.(found) ? denied : found
      })
      const { packages, warnings } = choosePackages(decided, resolutions, { commits, hints })
      for (const message of warnings) options.emit({ type: 'warning', message })
      options.emit({
        type: 'resolved',
        ...(pinned.name !== undefined && { set: pinned.name }),
        packages: packageTexts(packages),
        names: resolutions.size,
        evaluated,
        ms: performance.now() - started,
      })
      return { packages, ...togetherOf(decided.recipes, loaded) }
    },
  }
}
