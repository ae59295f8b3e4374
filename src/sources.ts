import { join } from 'node:path'
import type { Config } from './config.ts'
import { hasCode, isNixeryError } from './errors.ts'
import { impliedPackages } from './image/name.ts'
import type { SetPolicy } from './nix/evaluate.ts'
import { policyFiles } from './evaluation.ts'
import type { Nix } from './nix/nix.ts'
import { searchPathOf, targetsOf } from './nix/search-path.ts'
import { channelSource } from './packages/channel.ts'
import { createFetchedSources } from './packages/fetched.ts'
import { flakeSource } from './packages/flake.ts'
import { gitSource } from './packages/git.ts'
import { pathSource } from './packages/path.ts'
import { createQueue } from './packages/queue.ts'
import type { Fetcher, RemoteOptions } from './packages/remote.ts'
import { stateOf, type PackageSource } from './packages/source.ts'
import { withEvaluationInputs } from './packages/evaluation-inputs.ts'

export type SourceOptions = {
  readonly nix: Nix
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds between two walks over a folder; in between, it is assumed to be unchanged. */
const freshFor = 5_000

/**
 * Opens the configured package source; by default, the demo packages.
 * @param remote what is shared by all sources of a server
 */
export async function openSource(
  config: Config,
  options: SourceOptions,
  remote: RemoteOptions = openRemote(config, options),
): Promise<PackageSource> {
  const source = await openPackages(config, options, { ...remote, allowed: config.NIXERY_REFS })
  // Flakes are evaluated purely, without reading other files.
  if (config.NIXERY_FLAKE !== undefined) return source
  const stale = config.NIXERY_PATH_STALE * 1000
  const { paths, addresses } = targetsOf(searchPathOf(process.env))
  return withEvaluationInputs(source, {
    paths: [...policyFiles(config), ...paths],
    unwatched: addresses.length > 0,
    fresh: Math.min(freshFor, stale),
    stale,
  })
}

async function openPackages(
  config: Config,
  options: SourceOptions,
  remote: RemoteOptions,
): Promise<PackageSource> {
  const { NIXERY_CHANNEL, NIXERY_PKGS_REPO, NIXERY_PKGS_PATH, NIXERY_FLAKE } = config
  const anyTag = config.NIXERY_TAGS === 'any'
  if (NIXERY_CHANNEL !== undefined) {
    return channelSource(NIXERY_CHANNEL, {
      ...remote,
      template: config.NIXERY_CHANNEL_URL,
      otherChannels: config.NIXERY_CHANNEL_TAGS,
      commits: config.NIXERY_CHANNEL_COMMITS === 'on',
      repository: config.NIXERY_CHANNEL_REPO,
      anyTag,
    })
  }
  if (NIXERY_PKGS_REPO !== undefined) return gitSource(NIXERY_PKGS_REPO, remote)
  if (NIXERY_FLAKE !== undefined) return flakeSource(NIXERY_FLAKE, remote)
  const folder = NIXERY_PKGS_PATH ?? (await demoPackages(config, options))
  const stale = config.NIXERY_PATH_STALE * 1000
  return pathSource(folder, {
    fresh: Math.min(freshFor, stale),
    stale,
    tags: config.NIXERY_TAGS,
    warn: options.warn,
  })
}

// The number of fetches, and of checks of a mirror, that may wait; further ones get a retry response.
const mostWaitingFetches = 32
const mostWaitingQueries = 256
// Milliseconds from the start to the first search for unused sources, and between two searches.
const firstExpiry = 600_000
const expiryInterval = 3_600_000

/** Fetches sources, within the configured limits. */
export function openRemote(config: Config, { nix, warn }: SourceOptions): RemoteOptions {
  const scratch = join(config.NIXERY_DATA, 'mirrors')
  const fetcher: Fetcher = {
    fetch: (sources, rootOf) =>
      nix.fetchSources('tarball' in sources ? sources : { ...sources, scratch }, rootOf, {}),
    lockFlake: (reference, rootOf) => nix.lockFlake(reference, rootOf, {}),
    remoteRefs: (url, narrow) => nix.remoteRefs(url, narrow, {}),
    updateMirror: (mirror) => nix.updateMirror({ ...mirror, limit: config.NIXERY_MIRROR_LIMIT }, {}),
    tidyMirror: (folder) => nix.tidyMirror(folder, {}),
    mirrorRefs: (folder) => nix.mirrorRefs(folder, {}),
    refsReaching: (folder, commit) => nix.refsReaching(folder, commit, {}),
    commitTime: (folder, commit) => nix.commitTime(folder, commit, {}),
    commitLog: (folder, range) => nix.commitLog(folder, range, {}),
  }
  const fetched = createFetchedSources({
    directory: join(config.NIXERY_DATA, 'sources'),
    keep: config.NIXERY_SOURCE_KEEP * 24 * 3_600_000,
    store: nix.store,
    warn,
  })
  setTimeout(() => {
    void fetched.expire()
    setInterval(() => void fetched.expire(), expiryInterval).unref()
  }, firstExpiry).unref()
  const running = config.NIXERY_MAX_FETCHES
  return {
    fetcher,
    fetched,
    allowed: config.NIXERY_REFS,
    mirrorsDirectory: scratch,
    ttl: config.NIXERY_PIN_TTL * 1000,
    fetches: createQueue({ running, waiting: mostWaitingFetches, what: 'fetching packages' }),
    queries: createQueue({ running, waiting: mostWaitingQueries, what: 'looking for commits' }),
    tellsCommits: config.NIXERY_CREATED === 'revision',
    note: warn,
  }
}

// Milliseconds after which a line is logged that the package set is still being fetched.
const quiet = 2_000

/**
 * Fetches the package set and loads it with the packages of every image, ahead of demand. Logs when that takes long, and
 * why the set cannot be used; clients see the same reason.
 */
export async function prepareSource(
  source: PackageSource,
  nix: Nix,
  lookUp: SetPolicy & { readonly system: string },
  { note, warn }: Pick<SourceOptions, 'note' | 'warn'>,
): Promise<void> {
  const started = performance.now()
  let late = false
  const timer = setTimeout(() => {
    late = true
    note(`${source.description} is being fetched or read; pulls wait for it`)
  }, quiet)
  timer.unref()
  try {
    const pinned = await source.pin('latest')
    clearTimeout(timer)
    const took = Math.round((performance.now() - started) / 1000)
    if (late) note(`${source.description} can be used, after ${took} s`)
    const attributes = impliedPackages.map((name) => [name])
    await nix.evaluate({ set: pinned.set, revision: stateOf(pinned), ...lookUp, attributes }, {})
  } catch (error) {
    if (hasCode(error, 'CANCELLED')) return
    const reasons = isNixeryError(error) ? [error, error.cause] : [error]
    const reason = reasons.map((each) => (each instanceof Error ? each.message : '')).filter(Boolean)
    warn(`the package set cannot be used: ${[...new Set(reason)].join(': ')}`)
  } finally {
    clearTimeout(timer)
  }
}

async function demoPackages(config: Config, { note, signal }: SourceOptions): Promise<string> {
  note('no package source is configured: using the demo packages, made from Debian’s')
  note('for all of nixpkgs, set NIXERY_CHANNEL=nixos-unstable, or NIXERY_PKGS_PATH to a checkout of it')
  const { ensureDemoPackageSet } = await import('../demo/package-set.ts')
  return ensureDemoPackageSet({
    directory: join(config.NIXERY_DATA, 'demo'),
    cacheDirectory: config.NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: note,
    ...(signal && { signal }),
  })
}
