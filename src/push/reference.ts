import { NixeryError } from '../errors.ts'
import { parseTag } from '../image/name.ts'

/** A place in a registry: `registry.example:5000/team/tools:v1`. */
export type Reference = {
  /** With the port, if any, as the user wrote it. */
  readonly host: string
  readonly repository: string
  readonly tag: string
}

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`)
const hostPattern = /^(?:[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/

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
  const isHost = hostPattern.test(host) && (/[.:]/.test(host) || host === 'localhost')
  if (!isHost) throw invalid('the target must begin with the host of a registry')
  const colon = rest.indexOf(':')
  const repository = checkedRepository(host, colon === -1 ? rest : rest.slice(0, colon))
  return { host, repository, tag: parseTag(colon === -1 ? 'latest' : rest.slice(colon + 1)) }
}

/** @throws NAME_INVALID if the distribution spec does not allow this repository name */
export function checkedRepository(host: string, text: string): string {
  if (text.length > 255 || !repositoryPattern.test(text)) {
    throw invalid(
      'a repository name consists of lower-case letters and digits, separated by ".", "_", "-" or "/"',
    )
  }
  return isHub(host) && !text.includes('/') ? `library/${text}` : text
}

/** `host/repository:tag` */
export const formatReference = ({ host, repository, tag }: Reference): string =>
  `${host}/${repository}:${tag}`

/** Whether a host is one of the names of Docker Hub. */
export const isHub = (host: string): boolean => host === 'docker.io' || host === 'index.docker.io'

/** The host that serves the API. Docker Hub's API has a host of its own. */
export const apiHost = (host: string): string => (isHub(host) ? 'registry-1.docker.io' : host)

const invalid = (message: string) =>
  new NixeryError('NAME_INVALID', message, { hint: 'for example: registry.example/team/tools:v1' })
