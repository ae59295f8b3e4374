import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The NIX_PATH of evaluations. If it is not set, Nix uses the channels of the user and of root; since evaluations have no
 * access to the user's home folder, the path is passed explicitly.
 */
export function searchPathOf(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const { NIX_PATH, HOME, XDG_STATE_HOME } = environment
  if (NIX_PATH !== undefined) return NIX_PATH
  const root = '/nix/var/nix/profiles/per-user/root/channels'
  const own = HOME === undefined ? [] : [join(HOME, '.nix-defexpr/channels')]
  const state = XDG_STATE_HOME ?? (HOME === undefined ? undefined : join(HOME, '.local/state'))
  if (state !== undefined) own.push(join(state, 'nix/defexpr/channels'))
  const existing = own.filter((path) => existsSync(path))
  if (existing.length === 0) return undefined // Nix's default
  return [...existing, ...(existsSync(join(root, 'nixpkgs')) ? [`nixpkgs=${root}/nixpkgs`, root] : [])].join(
    ':',
  )
}

/**
 * The targets of a NIX_PATH: paths, which can be watched, and URLs, which cannot. If it is not set, the channels of root.
 */
export function targetsOf(searchPath: string | undefined): { paths: string[]; addresses: string[] } {
  if (searchPath === undefined)
    return { paths: ['/nix/var/nix/profiles/per-user/root/channels'], addresses: [] }
  // Colons separate entries, except within URLs (`https://…`, `channel:…`, `flake:…`).
  const entries = searchPath
    .split(/(?<!(?:^|[:=])(?:channel|flake)):(?!\/\/)/)
    .filter((entry) => entry !== '')
  const targets = entries.map((entry) => entry.replace(/^[^/:=]*=/, ''))
  return {
    paths: targets.filter((target) => target.startsWith('/')),
    addresses: targets.filter((target) => !target.startsWith('/')),
  }
}
