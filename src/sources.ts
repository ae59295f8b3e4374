import { join } from 'node:path'
import type { Config } from './config.ts'
import type { Nix } from './nix/nix.ts'
import { pathSource } from './packages/path.ts'
import { channelSource, flakeSource, gitSource } from './packages/remote.ts'
import type { PackageSource } from './packages/source.ts'

export type SourceOptions = {
  readonly nix: Nix
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds for which a folder is believed not to have changed: it is walked over at most once in so long. */
const freshFor = 5_000

/** Where the configuration says that packages come from: with nothing configured, the demo packages. */
export async function openSource(config: Config, options: SourceOptions): Promise<PackageSource> {
  const { NIXERY_CHANNEL, NIXERY_PKGS_REPO, NIXERY_PKGS_PATH, NIXERY_FLAKE } = config
  const anyTag = config.NIXERY_TAGS === 'any'
  const watch = { onLine: () => {} }
  const remote = {
    fetcher: {
      fetch: (sources: Parameters<Nix['fetchSources']>[0], root: string) =>
        options.nix.fetchSources(sources, root, watch),
      remoteRefs: (url: string, patterns: readonly string[]) => options.nix.remoteRefs(url, patterns, watch),
      lockFlake: (reference: string) => options.nix.lockFlake(reference, watch),
    },
    ttl: config.NIXERY_PIN_TTL * 1000,
    rootsDirectory: join(config.NIXERY_DATA, 'sources'),
    note: options.warn,
  }
  if (NIXERY_CHANNEL !== undefined) {
    const channel = { template: config.NIXERY_CHANNEL_URL, allowed: config.NIXERY_CHANNEL_TAGS, anyTag }
    return channelSource(NIXERY_CHANNEL, { ...remote, ...channel })
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

async function demoPackages(config: Config, { note, signal }: SourceOptions): Promise<string> {
  note('no packages are configured: taking the demo packages, made from Debian’s')
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
