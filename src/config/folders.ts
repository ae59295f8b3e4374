import { realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Absolute paths of the data and cache folders. */
export type Folders = { readonly data: string; readonly cache: string }

const programRoot = join(import.meta.dirname, '..', '..')

/**
 * The default folders if neither NIXERY_DATA nor NIXERY_CACHE is set: inside this program's own image those of the
 * server that its entry point starts, so that `podman exec … nixery gc` uses the folders of that server; elsewhere the
 * user's own, by the XDG base directory specification.
 */
export function defaultFolders(environment: Readonly<Record<string, string | undefined>>): Folders {
  if (isInOwnImage()) return { data: '/var/lib/nixery', cache: '/var/cache/nixery' }
  const home = homedir()
  return {
    data: resolve(environment['XDG_DATA_HOME'] || join(home, '.local/share'), 'nixery'),
    cache: resolve(environment['XDG_CACHE_HOME'] || join(home, '.cache'), 'nixery'),
  }
}

/**
 * Settings where no package source is set: inside the image of this program those of nixpkgs, since the demo packages
 * need Debian's apt; elsewhere none.
 */
export const defaultSource = (): Readonly<Record<string, string>> =>
  isInOwnImage() ? { NIXERY_CHANNEL: 'nixos-unstable', NIXERY_PLATFORMS: 'amd64,arm64' } : {}

/** In an image, the folders of packages appear at the root: this program's folder is /lib/nixery. */
function isInOwnImage(): boolean {
  try {
    return realpathSync('/lib/nixery') === realpathSync(programRoot)
  } catch {
    return false // the folder does not exist
  }
}
