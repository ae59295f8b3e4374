import type { Digest } from './digest.ts'
import type { ImageConfig, Layer } from './oci.ts'
import { fullRepository, isRegistryHost, isRepository } from './repository.ts'

/** A base image in its registry. At least one of tag and digest is set. */
export type BaseReference = {
  /** With the port, if any. */
  readonly host: string
  readonly repository: string
  readonly tag?: string
  readonly digest?: Digest
}

/** A pinned base, whose bytes never change. */
export type PinnedBase = BaseReference & { readonly digest: Digest }

/** A base image for one platform, with which an image begins. */
export type BaseImage = {
  /** `host/repository@sha256:…`, as in the recipe; for several platforms, this is an index. */
  readonly reference: string
  /** The lowest first. */
  readonly layers: readonly Layer[]
  readonly config: ImageConfig
}

const digestPattern = /^sha256:[0-9a-f]{64}$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/** Parses `registry/name@sha256:…`, `registry/name:tag`, or both together, as Docker does. @returns undefined for another text */
export function parseBase(text: string): BaseReference | undefined {
  const at = text.indexOf('@')
  const digest = at === -1 ? undefined : text.slice(at + 1)
  const named = at === -1 ? text : text.slice(0, at)
  const slash = named.indexOf('/')
  const host = named.slice(0, Math.max(slash, 0))
  const rest = named.slice(slash + 1)
  const colon = rest.indexOf(':')
  const tag = colon === -1 ? undefined : rest.slice(colon + 1)
  const repository = colon === -1 ? rest : rest.slice(0, colon)
  if (!isRegistryHost(host) || !isRepository(repository)) return undefined
  if (digest !== undefined && !digestPattern.test(digest)) return undefined
  if (tag !== undefined && !tagPattern.test(tag)) return undefined
  if (tag === undefined && digest === undefined) return undefined
  return {
    host,
    repository: fullRepository(host, repository),
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest: digest as Digest }),
  }
}

/** Whether a base has a digest. */
export const isPinned = (base: BaseReference): base is PinnedBase => base.digest !== undefined

/** `host/repository@sha256:…`, without the tag, which says nothing about the bytes. */
export const formatPinned = ({ host, repository, digest }: PinnedBase): string =>
  `${host}/${repository}@${digest}`

/** As in recipes: `host/repository:tag@sha256:…`. */
export const formatBase = ({ host, repository, tag, digest }: BaseReference): string =>
  `${host}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`

/**
 * Whether a base is in one of these places: `registry.example`, or `registry.example/team` for everything in that
 * folder.
 */
export const isListed = ({ host, repository }: BaseReference, places: readonly string[]): boolean =>
  places.some((place) => {
    const full = `${host}/${repository}`
    return full === place || full.startsWith(`${place}/`)
  })
