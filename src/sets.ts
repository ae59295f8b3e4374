import { createResolver, type Resolver, type ResolverDeps } from './builds/resolve.ts'
import { resolverOfSets } from './builds/set-resolvers.ts'
import type { OtherVersions } from './builds/resolve-versions.ts'
import type { VersionIndex } from './catalog/versions.ts'
import type { Config } from './config.ts'
import { configOfSet, namedSets } from './config/set-config.ts'
import { policyOf, restrictionOf } from './evaluation.ts'
import { platforms, type Platform } from './image/platform.ts'
import type { Nix } from './nix/nix.ts'
import type { Details } from './nix/list.ts'
import type { SetPolicy } from './nix/evaluate.ts'
import { evaluateStoreless } from './nix/storeless.ts'
import { nameFilter, type NameFilter } from './packages/policy.ts'
import { createRevisionAges, type RevisionAges } from './packages/revision-ages.ts'
import { createSetWords } from './packages/set-words.ts'
import { oneSet, severalSets, type PackageSets } from './packages/sets.ts'
import type { PackageSource, PinnedSet } from './packages/source.ts'
import type { RecipeBook } from './recipes/book.ts'
import { noRecipes, openFolder, type FolderRecipes } from './recipes/folder.ts'
import { createSetRecipes } from './recipes/from-set.ts'
import { createOperatorBook } from './recipes/operator-book.ts'
import { reportLoads, type ReportOptions } from './recipes/report-loads.ts'
import { openRemote, openSource, prepareSource, type SourceOptions } from './sources.ts'

/** The package sets of a server, with resolvers for their names. */
export type OpenSets = {
  readonly sets: PackageSets
  readonly resolver: Resolver
  readonly recipes: Pick<RecipeBook, 'current' | 'state'>
  /** The recipes of the package set that was pinned. */
  bookOf(pinned: PinnedSet): RecipeBook
  /** Fetches each set and loads it with the packages of every image, ahead of demand. */
  prepare(system: string): void
  /** Package sets whose versions can be listed. */
  listing(name: string | undefined): SetListing | undefined
  ages: RevisionAges['ages']
}

/** A package set whose versions can be listed. */
export type SetListing = {
  readonly source: PackageSource
  readonly policy: SetPolicy
  /** Which packages may be in images. */
  readonly filter: NameFilter
  /** @throws what `listVersions` of nix/list.ts does */
  list(pinned: PinnedSet, system: string, details?: Details): ReturnType<Nix['listVersions']>
}

export type SetsOptions = SourceOptions &
  Pick<ResolverDeps, 'catalog' | 'later'> & {
    readonly versions: VersionIndex
    /** Suggestions for names that a package set does not have. */
    readonly hints: (set: string | undefined, name: string) => readonly string[]
  }

/** One package set, with its own policy. */
type OpenSet = SetListing & {
  readonly resolver: Resolver
  readonly recipes: RecipeBook
  prepare(system: string): void
}

/** Opens the configured package sets. @throws CONFIG_INVALID, SETUP_FAILED, CANCELLED */
export async function openSets(config: Config, options: SetsOptions): Promise<OpenSets> {
  const named = namedSets(config)
  const remote = openRemote(config, options)
  const ages = createRevisionAges()
  if (!named) {
    const only = await openSet(config, options, undefined, { remote, ages })
    return {
      sets: oneSet(only.source),
      resolver: only.resolver,
      recipes: only.recipes,
      bookOf: () => only.recipes,
      prepare: (system) => only.prepare(system),
      listing: (name) => (name === undefined ? only : undefined),
      ages: () => ages.ages(),
    }
  }
  const opened = new Map<string, OpenSet>()
  for (const set of named) {
    const own = configOfSet(config, set)
    // Restrictions depend on the set: only sets written by others are restricted.
    const readable = restrictionOf(own)?.readable ?? 'everything'
    const nix: Nix = {
      ...options.nix,
      listVersions: (listed, watch, details) =>
        options.nix.listVersions({ ...listed, readable }, watch, details),
      evaluate: (lookUp, watch) => options.nix.evaluate({ ...lookUp, readable }, watch),
      evaluateImage: (lookUp, watch) => options.nix.evaluateImage({ ...lookUp, readable }, watch),
    }
    const prefixed = (write: (line: string) => void) => (line: string) =>
      write(`package set ${set.name}: ${line}`)
    const note = prefixed(options.note)
    const warn = prefixed(options.warn)
    opened.set(set.name, await openSet(own, { ...options, nix, note, warn }, set.name, { remote, ages }))
  }
  const sources = new Map([...opened].map(([name, { source }]) => [name, source]))
  const resolver = resolverOfSets(new Map([...opened].map(([name, set]) => [name, set.resolver])))
  const [first] = opened.values()
  if (!first) throw new Error('there is no package set')
  const words = createSetWords({
    source: first.source,
    hasPackage: (word, platform, pinned) => first.resolver.hasPackage(word, platform, pinned),
    warn: options.warn,
  })
  return {
    sets: severalSets(sources, words),
    resolver,
    recipes: statesOf([...opened.values()].map((set) => set.recipes)),
    bookOf({ name = '' }) {
      const set = opened.get(name)
      if (!set) throw new Error(`there is no package set ${name}`)
      return set.recipes
    },
    prepare: (system) => {
      for (const set of opened.values()) set.prepare(system)
    },
    listing: (name) => (name === undefined ? first : opened.get(name)),
    ages: () => ages.ages(),
  }
}

/** The combined state of all books. An image depends on the book of its set; changes of others do not matter. */
const statesOf = (books: readonly RecipeBook[]): OpenSets['recipes'] => ({
  current(request) {
    const states = books.map((book) => book.current(request))
    return states.includes(undefined) ? undefined : joined(states)
  },
  // Recipes that cannot be read fail for names of their own set, when they are looked up.
  async state(request) {
    const states = books.map((book) => book.state(request).catch(() => 'unreadable'))
    return joined(await Promise.all(states))
  },
})

/** Empty if all are empty: then the request depends on no recipes. */
const joined = (states: readonly (string | undefined)[]): string =>
  states.every((state) => state === '') ? '' : states.join(' ')

async function openSet(
  config: Config,
  options: SetsOptions,
  name: string | undefined,
  { remote, ages }: { remote: ReturnType<typeof openRemote>; ages: RevisionAges },
): Promise<OpenSet> {
  const { catalog, later, note, warn, versions } = options
  const nix = evaluationOf(config, options)
  const source = ages.watch(name, await openSource(config, options, remote))
  const policy = policyOf(config)
  const filter = nameFilter(config.NIXERY_ALLOW, config.NIXERY_DENY)
  const { NIXERY_RECIPES } = config
  const loads = reporting(warn)
  const folder =
    NIXERY_RECIPES === undefined ? undefined : openFolder(NIXERY_RECIPES, (found) => loads.onLoad(found))
  const ofSet = createSetRecipes({ nix, policy, catalog, later })
  const bare = config.NIXERY_RECIPE_NAMES === 'bare'
  const recipes = createOperatorBook({ folder, set: ofSet, bare })
  const resolver = createResolver({
    catalog,
    nix,
    recipes,
    policy,
    filter,
    warn,
    later,
    versions: otherVersions(source, versions),
    hints: (missing) => options.hints(name, missing),
  })
  /** Returns which of these names, and of the recipes of the set, are also names of packages. */
  const clashing = async (names: readonly string[], platform: Platform): Promise<string[]> => {
    const pinned = await source.pin('latest')
    const all = new Set([...names, ...(await ofSet.names({ pinned, platform }).catch(() => []))])
    const found: string[] = []
    for (const each of all) {
      if (await resolver.hasPackage(each, platform, pinned).catch(() => false)) found.push(each)
    }
    return found
  }
  return {
    source,
    recipes,
    policy,
    filter,
    resolver,
    list: (pinned, system, details) => nix.listVersions({ set: pinned.set, ...policy, system }, {}, details),
    prepare(system) {
      const platform = Object.values(platforms).find((each) => each.system === system)
      const loading =
        nix === options.nix ? nix : { ...nix, evaluate: twice((...args) => nix.evaluate(...args)) }
      const prepared = prepareSource(source, loading, { ...policy, system }, { note, warn })
      loads.begin(bare && platform ? (names) => prepared.then(() => clashing(names, platform)) : undefined)
      // Without a folder, recipes may be in the package set alone.
      if (folder)
        void folder
          .look()
          .catch((error: unknown) => warn(String(error instanceof Error ? error.message : error)))
      else loads.onLoad(noRecipes)
    },
  }
}

/**
 * How a package set is evaluated: without the Nix store where it need not be written to, because the contents of packages
 * come from elsewhere.
 */
function evaluationOf(config: Config, { nix, note }: Pick<SetsOptions, 'nix' | 'note'>): Nix {
  if (config.NIXERY_ORIGIN === 'store') return nix
  const store = nix.store ?? 'the Nix store'
  // `nix repl` always writes derivations, and in a store of its own it would have to copy the flake and its inputs first.
  if (config.NIXERY_FLAKE !== undefined && config.NIXERY_EVALUATOR === 'warm') {
    note(`evaluation writes to ${store}, which has the sources of the flake; not with NIXERY_EVALUATOR=cold`)
    return nix
  }
  return { ...nix, ...evaluateStoreless(nix, store, note) }
}

/** The first lookup decides how a set is evaluated, and only the second one loads it into a process that is kept. */
const twice =
  (evaluate: Nix['evaluate']): Nix['evaluate'] =>
  (lookUp, watch) =>
    evaluate(lookUp, watch).then(() => evaluate(lookUp, watch))

/**
 * Reports on recipes when they are loaded, once a server starts to prepare them; commands only report on pulled ones.
 */
function reporting(warn: (line: string) => void) {
  let report: ReturnType<typeof reportLoads> | undefined
  return {
    begin(clashing: ReportOptions['clashing']) {
      report = reportLoads({ warn, clashing })
    },
    onLoad(recipes: FolderRecipes): void {
      // An unusable package set is reported elsewhere.
      void report?.(recipes).catch(() => {})
    },
  }
}

/** The versions of a package set that is a repository, in all its commits. */
const otherVersions = (source: PackageSource, index: VersionIndex): OtherVersions | undefined =>
  source.history && { index, source: source.history.id, pin: (commit) => source.pin(commit) }
