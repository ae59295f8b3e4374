import { dirname, join } from 'node:path'
import { NixeryError } from '../errors.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { unwanted, type PartialDemand } from '../queue/demand.ts'
import { createLimiter } from '../queue/limiter.ts'
import type { NixCaches } from './cache-settings.ts'
import { environmentFor, type Environment, type Purpose } from './environment.ts'
import type { LookUp, LookupResult } from './evaluate.ts'
import { evaluateImage, type ImageAnswer, type ImageLookUp } from './image-recipes.ts'
import { createEvaluators, type EvaluatorsState } from './evaluators.ts'
import { fetchSources, type Sources } from './fetch.ts'
import { lockFlake, type LockedFlake } from './flake.ts'
import { closureFacts } from './facts.ts'
import { listVersions, type Details, type VersionList } from './list.ts'
import { remoteRefs } from './git.ts'
import { messageOf } from './message.ts'
import {
  commitLog,
  commitTime,
  mirrorRefs,
  refsReaching,
  tidyMirror,
  updateMirror,
  type LoggedCommit,
  type Mirror,
} from './mirror.ts'
import { evaluationsAtOnce, type NixOptions } from './options.ts'
import { run, type RunOptions } from './process.ts'
import { protect, realise, type WantedOutput } from './realise.ts'
import { defaultAllowedUris } from './restriction.ts'
import { createRoots } from './roots.ts'
import { searchPathOf } from './search-path.ts'
import { createScratchStores } from './scratch-store.ts'
import { nixSettings } from './settings.ts'

/** The demand for a task, and its listeners. The signal cancels the task, even while it waits for its turn. */
export type Watch = PartialDemand & {
  readonly onLine?: (line: string) => void
  /** Called when Nix starts to realise. */
  readonly onBegin?: () => void
}

/** Everything that this program needs from Nix. */
export type Nix = {
  /** Looks names up in a package set; see `evaluate.ts` and `evaluators.ts`. */
  evaluate(lookUp: LookUp, watch: Watch): Promise<LookupResult[]>
  /** Lists the versions of all packages of a package set; see `list.ts`. Urgency is ignored: it waits for its turn. */
  listVersions(set: Omit<LookUp, 'attributes'>, watch: Watch, details?: Details): Promise<VersionList>
  /** Evaluates a recipe of a package set; see `image-recipes.ts`. */
  evaluateImage(lookUp: ImageLookUp, watch: Watch): Promise<ImageAnswer>
  /** Discards what evaluator processes have loaded of a revision, or believe to have written to the store. */
  forget(revision: string): void
  evaluators(): EvaluatorsState
  /**
   * Builds or fetches outputs, protects them from the garbage collector while `use` runs, and returns its result. Starts
   * no process if all outputs are protected already.
   * @param use receives the outputs that were not protected before: cached facts about them may be out of date
   */
  withRealised<T>(
    wanted: readonly WantedOutput[],
    watch: Watch,
    use: (fresh: readonly WantedOutput[]) => Promise<T>,
  ): Promise<T>
  /** The facts of all paths in the closure of these, which must be valid. */
  readonly closureFacts: (paths: readonly StorePath[], watch: Watch) => Promise<PathFacts[]>
  /** Fetches sources of packages into the store; see `fetch.ts`. */
  fetchSources(sources: Sources, rootOf: (path: StorePath) => string, watch: Watch): Promise<StorePath>
  /** Locks a flake and fetches it into the store; see `flake.ts`. */
  lockFlake(reference: string, rootOf: (path: StorePath) => string, watch: Watch): Promise<LockedFlake>
  /** Lists the refs of a git repository; see `git.ts`. */
  remoteRefs(url: string, narrow: boolean, watch: Watch): Promise<Map<string, string>>
  /** Maintains and queries a copy of a git repository; see `mirror.ts`. */
  updateMirror(mirror: Mirror, watch: Watch): Promise<void>
  tidyMirror(folder: string, watch: Watch): Promise<void>
  mirrorRefs(folder: string, watch: Watch): Promise<Map<string, string>>
  refsReaching(folder: string, commit: string, watch: Watch): Promise<string[]>
  commitTime(folder: string, commit: string, watch: Watch): Promise<number>
  commitLog(
    folder: string,
    range: { readonly newest: string; readonly back: string | number },
    watch: Watch,
  ): Promise<LoggedCommit[]>
  /** The folder that contains `/nix/store`, if Nix uses a store of this program. */
  readonly store: string | undefined
  /** Finds out which settings Nix needs on this machine. All other methods first wait for it. */
  settle(): Promise<void>
  /** Its settings for binary caches, and what derivations can require of this machine (`requiredSystemFeatures`). */
  caches(): Promise<NixCaches>
  systemFeatures(): Promise<readonly string[]>
  /** The version of Nix. @throws NIX_UNAVAILABLE if Nix is not installed */
  version(): Promise<string>
  /** Releases cached resources, and ends the evaluator processes. */
  close(): Promise<void>
}

// The timeout in seconds for protecting valid paths, without any build or fetch.
const protectTimeout = 60
// Seconds that one query of a mirror may take.
const queryTimeout = 60

export function createNix(options: NixOptions): Nix {
  const environmentOptions = {
    home: join(dirname(options.rootsDirectory), 'evaluation'),
    pass: options.passEnvironment ?? [],
    withhold: options.withholdEnvironment ?? [],
  }
  const surroundings = (): NodeJS.ProcessEnv =>
    options.store === undefined ? process.env : { ...process.env, NIX_REMOTE: options.store }
  const plain = (): Environment => environmentFor('realise', surroundings(), environmentOptions)
  const settings = nixSettings(plain, options.note)
  const memory = options.evalMemory * 1e6
  const home = join(dirname(options.rootsDirectory), 'evaluators')
  const scratch = createScratchStores(home)
  const evaluators = createEvaluators({
    evaluator: options.evaluator,
    concurrency: evaluationsAtOnce(options),
    memory,
    home,
  })
  const realisations = createLimiter(options.concurrency)
  const protections = createLimiter(options.concurrency)
  const runOptions = async (purpose: Purpose, watch: Watch, seconds: number): Promise<RunOptions> => ({
    ...watch,
    environment: environmentFor(purpose, surroundings(), environmentOptions, (await settings()).lines),
    timeout: seconds * 1000,
    group: purpose === 'fetch',
  })
  const roots = createRoots(options.rootsDirectory, { keep: options.keepRoots, note: options.note })

  /** The arguments of an evaluation, and its restrictions. */
  const evaluationOf = async (lookUp: Pick<LookUp, 'readable'>, watch: Watch) => {
    const { lines, features, allowedUris } = await settings()
    const { readable } = lookUp
    const own = readable === 'everything' ? undefined : readable && { readable }
    const restricted = readable === undefined ? options.restricted : own
    const restriction = restricted && { features, paths: restricted.readable }
    // Placed before the operator's own lines, which take precedence.
    const uris =
      restricted && allowedUris.length === 0 ? [`allowed-uris = ${defaultAllowedUris.join(' ')}`] : []
    const given = {
      ...watch,
      environment: environmentFor(
        'evaluate',
        { ...surroundings(), NIX_PATH: searchPathOf(process.env) },
        environmentOptions,
        [...lines, ...uris],
      ),
      timeout: options.evalTimeout * 1000,
    }
    return { given, restriction: restriction && { restriction } }
  }

  return {
    store: options.store,
    async evaluate(lookUp, watch) {
      const { given, restriction } = await evaluationOf(lookUp, watch)
      return evaluators.evaluate({ ...lookUp, ...restriction }, given)
    },
    async listVersions(set, watch, details) {
      const { given, restriction } = await evaluationOf(set, watch)
      return listVersions({ ...set, ...restriction }, { ...given, memory }, { home, scratch }, details)
    },
    async evaluateImage(lookUp, watch) {
      const { restriction, given } = await evaluationOf(lookUp, watch)
      return evaluators.run(given, (how) =>
        scratch.with(lookUp, (store) => evaluateImage({ ...lookUp, ...restriction }, how, store)),
      )
    },
    forget: (revision) => evaluators.forget(revision),
    evaluators: () => evaluators.state(),

    async withRealised(wanted, watch, use) {
      // Existing outputs do not wait for builds of others.
      const protectValid = (missing: readonly WantedOutput[], root: string) =>
        protections.run(async () => {
          const { signal } = watch
          const given = await runOptions('realise', { ...(signal && { signal }) }, protectTimeout)
          const isProtected = await protect(missing, root, given)
          if (isProtected) watch.onBegin?.()
          return isProtected
        }, watch)
      const { fresh, release } = await roots.protect(wanted, async (missing, root) => {
        if (realisations.running >= options.concurrency && (await protectValid(missing, root))) return
        await realisations.run(async () => {
          const given = await runOptions('realise', watch, options.buildTimeout)
          if (watch.signal?.aborted) throw unwanted(watch.signal.reason)
          watch.onBegin?.()
          return realise(missing, root, options.builderTimeout, given)
        }, watch)
      })
      try {
        return await use(fresh)
      } finally {
        await release()
      }
    },

    async closureFacts(paths, watch) {
      if (paths.length === 0) return []
      return closureFacts(paths, await runOptions('realise', watch, options.evalTimeout))
    },

    async fetchSources(sources, rootOf, watch) {
      return fetchSources(sources, rootOf, await runOptions('fetch', watch, options.fetchTimeout))
    },
    async lockFlake(reference, rootOf, watch) {
      const given = await runOptions('fetch', watch, options.fetchTimeout)
      return lockFlake(reference, { ...given, rootOf })
    },
    async remoteRefs(url, narrow, watch) {
      return remoteRefs(url, narrow, await runOptions('fetch', watch, options.fetchTimeout))
    },
    async updateMirror(mirror, watch) {
      return updateMirror(mirror, await runOptions('fetch', watch, options.fetchTimeout))
    },
    async tidyMirror(folder, watch) {
      return tidyMirror(folder, await runOptions('fetch', watch, options.fetchTimeout))
    },
    async mirrorRefs(folder, watch) {
      return mirrorRefs(folder, await runOptions('fetch', watch, queryTimeout))
    },
    async refsReaching(folder, commit, watch) {
      return refsReaching(folder, commit, await runOptions('fetch', watch, queryTimeout))
    },

    async commitTime(folder, commit, watch) {
      return commitTime(folder, commit, await runOptions('fetch', watch, queryTimeout))
    },
    async commitLog(folder, range, watch) {
      return commitLog(folder, range, await runOptions('fetch', watch, queryTimeout))
    },

    async settle() {
      await settings()
    },
    caches: async () => (await settings()).caches,
    systemFeatures: async () => (await settings()).systemFeatures,
    async version() {
      const result = await run('nix-store', ['--version'], { environment: plain(), timeout: 20_000 })
      if (result.ok) return result.stdout.trim().replace(/^.*\) /, '')
      throw new NixeryError('NIX_UNAVAILABLE', `Nix cannot be started:\n${messageOf(result.lines)}`)
    },
    async close() {
      await Promise.all([roots.close(), evaluators.close()])
    },
  }
}
