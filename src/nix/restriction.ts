/** A package set: a folder with a default.nix, or a locked flake reference. */
export type SetReference = { readonly folder: string } | { readonly flake: string }

/** Denies evaluation access to the files of this machine. */
export type Restriction = {
  /** Experimental Nix features that the operator has enabled. */
  readonly features: readonly string[]
  /** Files and folders that may be read besides the Nix store, the set's own folder and the targets of NIX_PATH. */
  readonly paths: readonly string[]
}

/** What is evaluated, and how. */
type Evaluated = { readonly set: SetReference; readonly restriction?: Restriction | undefined }

/**
 * How to restrict evaluation. Nix has two ways:
 * - `pure-eval`, for flakes: only locked sources are read.
 * - `restrict-eval`, for all other sets: nixpkgs works unchanged. `allowed-uris` limits the URLs.
 */
export const modeOf = ({ set, restriction }: Evaluated): 'open' | 'pure' | 'restricted' =>
  restriction === undefined ? 'open' : 'flake' in set ? 'pure' : 'restricted'

/** Every user can read the store. */
const storeFolder = '/nix/store'

/**
 * Options for `nix-instantiate` and `nix repl`, which take precedence over every configuration of Nix.
 * @param needed experimental features that this program needs
 */
export function optionsOf(evaluated: Evaluated, needed: readonly string[] = []): string[] {
  const { set, restriction } = evaluated
  const features = 'flake' in set ? [...needed, 'flakes'] : needed
  const extra =
    features.length > 0 ? ['--extra-experimental-features', features.join(' ')] : ([] as readonly string[])
  if (!restriction) return [...extra]
  // Also clears the tokens of the system's nix.conf: evaluation must not fetch the operator's private sources.
  const withoutTokens = ['--option', 'access-tokens', '']
  if ('flake' in set) return [...extra, ...withoutTokens, '--option', 'pure-eval', 'true']
  // Even restricted, `getFlake` copies any folder into the store, and so does `fetchTree` in older versions.
  const enabled = restriction.features.filter((name) => name !== 'flakes' && name !== 'fetch-tree')
  const paths = [storeFolder, set.folder, ...restriction.paths]
  return [
    '--option',
    'experimental-features',
    [...new Set([...needed, ...enabled])].join(' '),
    ...withoutTokens,
    '--option',
    'restrict-eval',
    'true',
    ...paths.flatMap((path, index) => ['-I', `nixery-readable-${index}=${path}`]),
  ]
}

/**
 * URLs from which restricted evaluation may fetch if the operator has not set `allowed-uris`: those that package sets
 * commonly use. Not plain HTTP, which cloud metadata services with secrets use.
 */
export const defaultAllowedUris = ['https://', 'git+https://', 'github:', 'gitlab:', 'sourcehut:']
