import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A name for an image in an OCI layout. */
export const tagOf = (image: string): string => image.replaceAll(/[^A-Za-z0-9]+/g, '-')

/** Adds `:latest` to a reference without tag or digest, because some clients do not. */
export const withTag = (image: string): string => (/[:@][^/]*$/.test(image) ? image : `${image}:latest`)

type Index = { manifests: { digest: string; annotations?: Record<string, string> }[] }

/** The digest of a tag in an OCI layout. */
export async function digestInLayout(layout: string, tag: string): Promise<string> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as Index
  const found = index.manifests.find(
    ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === tag,
  )
  if (found === undefined) throw new Error(`${tag} is not in the layout`)
  return found.digest
}
