import { NixeryError } from '../errors.ts'
import { parseTag, type ImageRequest } from '../image/name.ts'

/** What an image is called in an archive or layout. */
export type ArchiveName = { readonly repository: string; readonly tag: string }

// Of what Docker allows in a reference, and OCI in `org.opencontainers.image.ref.name` (annotations.md), what
// both do: a run of two underscores or three hyphens is refused by one or the other.
const component = '[a-z0-9]+(?:(?:[._-]|--)[a-z0-9]+)*'
const host = '[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*(?::[0-9]{1,5})?'
const repositoryPattern = new RegExp(`^(?:${host}/)?${component}(?:/${component})*$`)
const maxLength = 255

/**
 * Parses `NAME[:TAG]`, as `--name` gives it.
 * @throws NAME_INVALID, TAG_INVALID
 */
export function parseArchiveName(text: string): ArchiveName {
  // A colon before a slash belongs to a port.
  const colon = text.indexOf(':', text.lastIndexOf('/') + 1)
  const repository = colon === -1 ? text : text.slice(0, colon)
  if (repository.length > maxLength || !repositoryPattern.test(repository)) {
    throw new NixeryError('NAME_INVALID', 'this cannot be the name of an image in an archive', {
      hint: 'lower-case letters and digits, joined by single ".", "_", "-" or "/"; for example: team/tools:v1',
    })
  }
  return { repository, tag: parseTag(colon === -1 ? 'latest' : text.slice(colon + 1)) }
}

/**
 * `nixery/<name of the image>:<tag>`, changed where Docker would refuse it: names of packages may have
 * upper-case letters and begin or end with an underscore.
 * @param name as `formatImageName` gives it
 */
export function defaultArchiveName(name: string, { tag }: Pick<ImageRequest, 'tag'>): ArchiveName {
  const segments = name
    .toLowerCase()
    .split('/')
    .map((segment) => segment.replace(/([._-])[._-]+/g, '$1').replace(/^[._-]+|[._-]+$/g, ''))
  const repository = ['nixery', ...segments.filter((segment) => segment !== '')].join('/')
  if (repository.length <= maxLength) return { repository, tag }
  throw new NixeryError('NAME_INVALID', 'the name of this image is too long for an archive', {
    hint: 'give it a shorter one with --name',
  })
}

/** `repository:tag` */
export const formatArchiveName = ({ repository, tag }: ArchiveName): string => `${repository}:${tag}`

/** As Docker and containerd write it in full: with `docker.io` and `library` where a name leaves them out. */
export function fullName({ repository, tag }: ArchiveName): string {
  const first = repository.split('/')[0] ?? ''
  const hasHost = repository.includes('/') && (/[.:]/.test(first) || first === 'localhost')
  if (hasHost) return `${repository}:${tag}`
  return `docker.io/${repository.includes('/') ? '' : 'library/'}${repository}:${tag}`
}
