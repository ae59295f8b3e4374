import { access, constants, readdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { NixeryError, systemErrorCode } from '../errors.ts'

/** Where an image is to be written, and how. An archive without a path goes to standard output. */
export type Destination =
  | { readonly form: 'docker-archive' | 'oci-archive'; readonly path: string | undefined }
  | { readonly form: 'oci'; readonly path: string }

const forms = ['docker-archive', 'oci-archive', 'oci'] as const

/**
 * Parses `docker-archive:FILE`, `oci-archive:FILE` or `oci:DIR`; a FILE of `-` is standard output.
 * @throws CONFIG_INVALID
 */
export function parseDestination(text: string): Destination {
  const colon = text.indexOf(':')
  const form = forms.find((known) => known === text.slice(0, colon))
  const path = text.slice(colon + 1)
  if (!form || path === '') {
    throw invalid('an output is docker-archive:FILE, oci-archive:FILE or oci:DIR', {
      hint: 'for example: --output docker-archive:git.tar',
    })
  }
  // skopeo and podman take what follows a second colon for a name, so they could not read such a file.
  if (path.includes(':')) {
    throw invalid('the path of an output cannot have a colon', {
      hint: 'to give the image a name, use --name',
    })
  }
  if (path !== '-') return { form, path: resolve(path) }
  if (form !== 'oci') return { form, path: undefined }
  throw invalid('an OCI layout is a folder, which standard output cannot be', {
    hint: 'the same in one file: --output oci-archive:-',
  })
}

/** As the user would write it. */
export const formatDestination = ({ form, path }: Destination): string => `${form}:${path ?? '-'}`

/**
 * Finds out, before hours of building, that the image could not be written.
 * @throws CONFIG_INVALID
 */
export async function checkDestination(destination: Destination, stdoutIsTerminal: boolean): Promise<void> {
  const { form, path } = destination
  if (path === undefined) {
    if (!stdoutIsTerminal) return
    throw invalid('an archive is not written to a terminal', {
      hint: `redirect standard output, or name a file: --output ${form}:FILE`,
    })
  }
  if (form !== 'oci') return checkOutputFile(path)
  const found = await statIfThere(path)
  if (found) await refuseOther(path, found.isDirectory())
  await checkWritable(found ? path : dirname(path))
}

/**
 * Checks that a file can be written, before the work whose result it is to hold.
 * @throws CONFIG_INVALID if it is a folder, or cannot be written
 */
export async function checkOutputFile(path: string): Promise<void> {
  const found = await statIfThere(path)
  if (found?.isDirectory()) throw invalid(`${path} is a folder`)
  // A regular file is replaced by a new one, which needs the right to change its folder.
  await checkWritable(found && !found.isFile() ? path : dirname(path))
}

const statIfThere = (path: string) =>
  stat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw unusable(path, error)
  })

/** @throws CONFIG_INVALID if this file or folder cannot be written */
export const checkWritable = (path: string): Promise<void> =>
  access(path, constants.W_OK).catch((error: unknown) => {
    throw unusable(path, error)
  })

/** An image is added to a layout, and a layout made in an empty folder, but nothing else is touched. */
async function refuseOther(path: string, isDirectory: boolean): Promise<void> {
  const names = isDirectory ? await readdir(path) : ['no folder']
  if (names.length === 0 || names.includes('oci-layout')) return
  throw invalid(`${path} is there already and is not an OCI layout`, { hint: 'choose another folder' })
}

const unusable = (path: string, cause: unknown) =>
  invalid(`${path} cannot be written: ${systemErrorCode(cause) ?? 'unknown'}`, { cause })

const invalid = (message: string, options: { hint?: string; cause?: unknown } = {}) =>
  new NixeryError('CONFIG_INVALID', message, options)
