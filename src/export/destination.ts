import { access, constants, readdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { NixeryError, systemErrorCode } from '../errors.ts'

/** The destination of an image. An archive without a path is written to standard output. */
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
  // skopeo and podman read the text after a second colon as a name, so they could not open such a file.
  if (path.includes(':')) {
    throw invalid('the path of an output must not contain a colon', {
      hint: 'use --name to set the name of the image',
    })
  }
  if (path !== '-') return { form, path: resolve(path) }
  if (form !== 'oci') return { form, path: undefined }
  throw invalid('an OCI layout is a folder and cannot be written to standard output', {
    hint: 'for the same content in one file, use --output oci-archive:-',
  })
}

/** Formats a destination as the user writes it. */
export const formatDestination = ({ form, path }: Destination): string => `${form}:${path ?? '-'}`

/**
 * Checks that the destination is writable, before a long build.
 * @throws CONFIG_INVALID
 */
export async function checkDestination(destination: Destination, stdoutIsTerminal: boolean): Promise<void> {
  const { form, path } = destination
  if (path === undefined) {
    if (!stdoutIsTerminal) return
    throw invalid('refusing to write an archive to a terminal', {
      hint: `redirect standard output, or use a file: --output ${form}:FILE`,
    })
  }
  if (form !== 'oci') return checkOutputFile(path)
  const found = await statIfThere(path)
  if (found) await refuseOther(path, found.isDirectory())
  await checkWritable(found ? path : dirname(path))
}

/**
 * Checks that a file can be written, before a long computation.
 * @throws CONFIG_INVALID if it is a folder, or not writable
 */
export async function checkOutputFile(path: string): Promise<void> {
  const found = await statIfThere(path)
  if (found?.isDirectory()) throw invalid(`${path} is a folder`)
  // A regular file is replaced by a new one, which needs write access to its folder.
  await checkWritable(found && !found.isFile() ? path : dirname(path))
}

const statIfThere = (path: string) =>
  stat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw unusable(path, error)
  })

/** @throws CONFIG_INVALID if this file or folder is not writable */
export const checkWritable = (path: string): Promise<void> =>
  access(path, constants.W_OK).catch((error: unknown) => {
    throw unusable(path, error)
  })

/** Accepts an existing layout or an empty folder, and refuses anything else. */
async function refuseOther(path: string, isDirectory: boolean): Promise<void> {
  const names = isDirectory ? await readdir(path) : ['no folder']
  if (names.length === 0 || names.includes('oci-layout')) return
  throw invalid(`${path} exists and is not an OCI layout`, { hint: 'choose another folder' })
}

const unusable = (path: string, cause: unknown) =>
  invalid(`${path} cannot be written: ${systemErrorCode(cause) ?? 'unknown'}`, { cause })

const invalid = (message: string, options: { hint?: string; cause?: unknown } = {}) =>
  new NixeryError('CONFIG_INVALID', message, options)
