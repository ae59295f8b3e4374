/** A package set: a folder with a default.nix, or a flake by a reference that is locked. */
export type SetReference = { readonly folder: string } | { readonly flake: string }

/** How evaluation is kept from the files of this machine. */
export type Restriction = {
  /** Experimental features of Nix that the operator has enabled. */
  readonly features: readonly string[]
  /** Files and folders that may be read besides the Nix store, the set's own folder and what NIX_PATH leads to. */
  readonly paths: readonly string[]
}

/** What is evaluated, and how. */
type Evaluated = { readonly set: SetReference; readonly restriction?: Restriction | undefined }

/**
 * How an expression is to be kept from the machine. Nix has two ways:
 * - `pure-eval`, for flakes: only what is locked is read.
 * - `restrict-eval`, for all else: a nixpkgs needs no change for it. Addresses are bounded by `allowed-uris`.
 */
export const modeOf = ({ set, restriction }: Evaluated): 'open' | 'pure' | 'restricted' =>
  restriction === undefined ? 'open' : 'flake' in set ? 'pure' : 'restricted'

/** The store is for all to read anyway. */
const storeFolder = '/nix/store'

/**
 * Options of `nix-instantiate` and `nix repl`. They win over every configuration of Nix.
 * @param needed experimental features that the program itself needs
 */
export function optionsOf(evaluated: Evaluated, needed: readonly string[] = []): string[] {
  const { set, restriction } = evaluated
  const features = 'flake' in set ? [...needed, 'flakes'] : needed
  const extra =
    features.length > 0 ? ['--extra-experimental-features', features.join(' ')] : ([] as readonly string[])
  if (!restriction) return [...extra]
  // Not those of the system's nix.conf either: what is evaluated must not fetch what is only the operator's to read.
  const withoutTokens = ['--option', 'access-tokens', '']
  if ('flake' in set) return [...extra, ...withoutTokens, '--option', 'pure-eval', 'true']
  // `getFlake` copies any folder into the store, and so does `fetchTree` in older versions, restricted or not.
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
 * Addresses from which restricted evaluation may fetch, where the operator has not set `allowed-uris`: what sets of
 * packages commonly use. Not plain HTTP, by which clouds tell a machine its secrets.
 */
export const defaultAllowedUris = ['https://', 'git+https://', 'github:', 'gitlab:', 'sourcehut:']
