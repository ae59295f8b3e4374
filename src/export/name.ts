import { NixeryError } from '../errors.ts'
import { parseTag, type ImageRequest } from '../image/name.ts'

/** The name of an image in an archive or layout. */
export type ArchiveName = { readonly repository: string; readonly tag: string }

// What both Docker allows in a reference and OCI in `org.opencontainers.image.ref.name` (annotations.md): one of them
// refuses two underscores, the other three hyphens in a row.
const component = '[a-z0-9]+(?:(?:[._-]|--)[a-z0-9]+)*'
const host = '[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*(?::[0-9]{1,5})?'
const repositoryPattern = new RegExp(`^(?:${host}/)?${component}(?:/${component})*$`)
const maxLength = 255

/**
 * Parses `NAME[:TAG]`, as `--name` gives it.
 * @throws NAME_INVALID, TAG_INVALID
 */
export function parseArchiveName(text: string): ArchiveName {
  // A colon before a slash is part of a port.
  const colon = text.indexOf(':', text.lastIndexOf('/') + 1)
  const repository = colon === -1 ? text : text.slice(0, colon)
  if (repository.length > maxLength || !repositoryPattern.test(repository)) {
    throw new NixeryError('NAME_INVALID', 'invalid name for an image in an archive', {
      hint: 'use lower-case letters and digits, separated by single ".", "_", "-" or "/"; for example: team/tools:v1',
    })
  }
  return { repository, tag: parseTag(colon === -1 ? 'latest' : text.slice(colon + 1)) }
}

/**
 * `nixery/<name of the image>:<tag>`, adapted to Docker's rules: package names may have upper-case letters, and begin or
 * end with an underscore.
 * @param name the result of `formatImageName`
 */
export function defaultArchiveName(name: string, { tag }: Pick<ImageRequest, 'tag'>): ArchiveName {
  const segments = name
    .toLowerCase()
    .split('/')
    .map((segment) => segment.replace(/([._-])[._-]+/g, '$1').replace(/^[._-]+|[._-]+$/g, ''))
  const repository = ['nixery', ...segments.filter((segment) => segment !== '')].join('/')
  if (repository.length <= maxLength) return { repository, tag }
  throw new NixeryError('NAME_INVALID', 'the name of this image is too long for an archive', {
    hint: 'use --name to choose a shorter one',
  })
}

/** `repository:tag` */
export const formatArchiveName = ({ repository, tag }: ArchiveName): string => `${repository}:${tag}`

/** The full name as in Docker and containerd: with `docker.io` and `library` if the name omits them. */
export function fullName({ repository, tag }: ArchiveName): string {
  const first = repository.split('/')[0] ?? ''
  const hasHost = repository.includes('/') && (/[.:]/.test(first) || first === 'localhost')
  if (hasHost) return `${repository}:${tag}`
  return `docker.io/${repository.includes('/') ? '' : 'library/'}${repository}:${tag}`
}
