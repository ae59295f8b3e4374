import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What `<name>` means to an evaluation, as NIX_PATH has it. If it is not set, Nix takes the channels of the user and of
 * root; since an evaluation has no access to the user's home folder, it is told.
 */
export function searchPathOf(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const { NIX_PATH, HOME, XDG_STATE_HOME } = environment
  if (NIX_PATH !== undefined) return NIX_PATH
  const root = '/nix/var/nix/profiles/per-user/root/channels'
  const own = HOME === undefined ? [] : [join(HOME, '.nix-defexpr/channels')]
  const state = XDG_STATE_HOME ?? (HOME === undefined ? undefined : join(HOME, '.local/state'))
  if (state !== undefined) own.push(join(state, 'nix/defexpr/channels'))
  const there = own.filter((path) => existsSync(path))
  if (there.length === 0) return undefined // as Nix has it
  return [...there, ...(existsSync(join(root, 'nixpkgs')) ? [`nixpkgs=${root}/nixpkgs`, root] : [])].join(':')
}

/**
 * Where the entries of a NIX_PATH lead: paths, which can be watched, and addresses, which cannot. Without one, the
 * channels of root.
 */
export function targetsOf(searchPath: string | undefined): { paths: string[]; addresses: string[] } {
  if (searchPath === undefined)
    return { paths: ['/nix/var/nix/profiles/per-user/root/channels'], addresses: [] }
  // A colon separates entries, but for those of addresses (`https://…`, `channel:…`, `flake:…`).
  const entries = searchPath
    .split(/(?<!(?:^|[:=])(?:channel|flake)):(?!\/\/)/)
    .filter((entry) => entry !== '')
  const targets = entries.map((entry) => entry.replace(/^[^/:=]*=/, ''))
  return {
    paths: targets.filter((target) => target.startsWith('/')),
    addresses: targets.filter((target) => !target.startsWith('/')),
  }
}
