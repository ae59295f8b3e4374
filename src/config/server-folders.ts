import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { NamedSet } from './sets.ts'

/** The settings that name files and folders. */
type Places = {
  readonly NIXERY_DATA: string
  readonly NIXERY_CACHE: string
  readonly STORAGE_PATH: string
  readonly NIXERY_PKGS_PATH?: string | undefined
  readonly NIXERY_SETS_FILE?: string | undefined
  readonly sets?: readonly NamedSet[] | undefined
  readonly NIXERY_RECIPES?: string | undefined
  readonly NIXERY_OVERLAYS: readonly string[]
  readonly NIXERY_TLS_CERT?: string | undefined
  readonly NIXERY_TLS_KEY?: string | undefined
  readonly NIXERY_HTPASSWD?: string | undefined
  readonly NIXERY_POLICY?: string | undefined
  readonly GOOGLE_APPLICATION_CREDENTIALS?: string | undefined
}

/** The folders whose paths clients must not see: those of the server, the operator and the program. */
export function serverFolders(places: Places): string[] {
  const { sets = [] } = places
  const ofSets = sets.flatMap(({ own }) => [own?.NIXERY_NIXPKGS_CONFIG, ...(own?.NIXERY_OVERLAYS ?? [])])
  const files = [
    places.NIXERY_SETS_FILE,
    places.NIXERY_TLS_CERT,
    places.NIXERY_TLS_KEY,
    places.NIXERY_HTPASSWD,
    places.NIXERY_POLICY,
    places.GOOGLE_APPLICATION_CREDENTIALS,
    ...ofSets,
  ]
  return [
    places.NIXERY_DATA,
    places.NIXERY_CACHE,
    places.STORAGE_PATH,
    places.NIXERY_PKGS_PATH,
    places.NIXERY_RECIPES,
    ...sets.map(({ own }) => own?.NIXERY_RECIPES),
    ...sets.map(({ source }) => (source.kind === 'path' ? source.place : undefined)),
    ...[...places.NIXERY_OVERLAYS, ...files].map((file) => file && dirname(file)),
    homedir(),
    join(import.meta.dirname, '..', '..'),
  ].flatMap((folder) => folder ?? [])
}
