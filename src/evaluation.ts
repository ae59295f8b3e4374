import { realpathSync } from 'node:fs'
import type { Config } from './config.ts'
import type { SetPolicy } from './nix/evaluate.ts'

/** The arguments for package sets like nixpkgs, from the configuration. */
export const policyOf = (config: Config): SetPolicy => ({
  config: {
    ...(config.NIXERY_ALLOW_UNFREE && { allowUnfree: true }),
    ...(config.NIXERY_ALLOW_BROKEN && { allowBroken: true }),
  },
  ...(config.NIXERY_NIXPKGS_CONFIG !== undefined && { configFile: config.NIXERY_NIXPKGS_CONFIG }),
  overlays: config.NIXERY_OVERLAYS,
})

/** Files and folders named by the operator that evaluation reads. */
export const policyFiles = ({ NIXERY_OVERLAYS, NIXERY_NIXPKGS_CONFIG }: Config): string[] => [
  ...NIXERY_OVERLAYS,
  ...(NIXERY_NIXPKGS_CONFIG === undefined ? [] : [NIXERY_NIXPKGS_CONFIG]),
]

/**
 * What evaluation is restricted to, if it is. Folders are trusted, because they are the operator's, and so are the demo
 * packages; other sources are written by others.
 */
export function restrictionOf(config: Config): { readonly readable: readonly string[] } | undefined {
  const { NIXERY_EVAL, NIXERY_CHANNEL, NIXERY_PKGS_REPO, NIXERY_FLAKE } = config
  const isRemote = [NIXERY_CHANNEL, NIXERY_PKGS_REPO, NIXERY_FLAKE].some((source) => source !== undefined)
  if (NIXERY_EVAL === 'open' || (NIXERY_EVAL === undefined && !isRemote)) return undefined
  // Nix also checks the targets of links.
  return { readable: [...new Set(policyFiles(config).flatMap((path) => [path, behindLinks(path)]))] }
}

function behindLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path // Nix reports that it does not exist
  }
}

/** Environment variables of nixpkgs that have no effect here, and the settings to use instead. */
const replaced: readonly (readonly [name: string, setting: string])[] = [
  ['NIXPKGS_ALLOW_UNFREE', 'NIXERY_ALLOW_UNFREE'],
  ['NIXPKGS_ALLOW_BROKEN', 'NIXERY_ALLOW_BROKEN'],
  ['NIXPKGS_ALLOW_INSECURE', 'NIXERY_NIXPKGS_CONFIG'],
  ['NIXPKGS_ALLOW_NONSOURCE', 'NIXERY_NIXPKGS_CONFIG'],
  ['NIXPKGS_ALLOW_UNSUPPORTED_SYSTEM', 'NIXERY_NIXPKGS_CONFIG'],
  ['NIXPKGS_CONFIG', 'NIXERY_NIXPKGS_CONFIG'],
]

/** A warning for each variable of nixpkgs that is set but has no effect. */
export const withoutEffect = (
  environment: Readonly<Record<string, string | undefined>>,
  { NIXERY_NIX_ENV }: Pick<Config, 'NIXERY_NIX_ENV'>,
): string[] =>
  replaced
    .filter(([name]) => (environment[name] ?? '') !== '' && !NIXERY_NIX_ENV.includes(name))
    .map(([name, setting]) => `${name} has no effect: set ${setting}`)
