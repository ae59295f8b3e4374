import { NixeryError } from '../errors.ts'
import { parseTag } from '../image/name.ts'
import { fullRepository, isHub, isRegistryHost, isRepository } from '../image/repository.ts'

/** A place in a registry: `registry.example:5000/team/tools:v1`. */
export type Reference = {
  /** With the port, if any, as the user wrote it. */
  readonly host: string
  readonly repository: string
  readonly tag: string
}

/**
 * Parses `HOST[:PORT]/REPOSITORY[:TAG]`, with an optional `docker://` prefix as in skopeo. The host is required: Docker
 * resolves `team/tools` to Docker Hub, which is rarely meant here.
 * @throws NAME_INVALID, TAG_INVALID
 */
export function parseReference(text: string): Reference {
  const bare = text.replace(/^docker:\/\//, '')
  const slash = bare.indexOf('/')
  const host = bare.slice(0, Math.max(slash, 0))
  const rest = bare.slice(slash + 1)
  if (!isRegistryHost(host)) throw invalid('the target must begin with the host of a registry')
  const colon = rest.indexOf(':')
  const repository = checkedRepository(host, colon === -1 ? rest : rest.slice(0, colon))
  return { host, repository, tag: parseTag(colon === -1 ? 'latest' : rest.slice(colon + 1)) }
}

/** @throws NAME_INVALID if the distribution spec does not allow this repository name */
export function checkedRepository(host: string, text: string): string {
  if (!isRepository(text)) {
    throw invalid(
      'a repository name consists of lower-case letters and digits, separated by ".", "_", "-" or "/"',
    )
  }
  return fullRepository(host, text)
}

/** `host/repository:tag` */
export const formatReference = ({ host, repository, tag }: Reference): string =>
  `${host}/${repository}:${tag}`

/** The host that serves the API. Docker Hub's API has a host of its own. */
export const apiHost = (host: string): string => (isHub(host) ? 'registry-1.docker.io' : host)

const invalid = (message: string) =>
  new NixeryError('NAME_INVALID', message, { hint: 'for example: registry.example/team/tools:v1' })
