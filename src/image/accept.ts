import { mediaTypes, type ManifestForm } from './oci.ts'

/**
 * The form of a manifest that a client gets: OCI's if it names that type, else Docker's, which is what the
 * original always sends. A client that names both gets OCI's whatever their order, so that all of them see the
 * same digest; one that refuses a type with `q=0` does not get it.
 * @param accept the `Accept` header, several joined by commas (RFC 9110 §12.5.1)
 */
export function chooseForm(accept: string | undefined): ManifestForm {
  return typesOf(accept).includes(mediaTypes.oci.manifest) ? 'oci' : 'docker'
}

/** The form of an index that a client takes: OCI's if it names that type, Docker's if that, else none. */
export function chooseIndexForm(accept: string | undefined): ManifestForm | undefined {
  const types = typesOf(accept)
  if (types.includes(mediaTypes.oci.index)) return 'oci'
  return types.includes(mediaTypes.docker.index) ? 'docker' : undefined
}

function typesOf(accept: string | undefined): string[] {
  const named = (accept ?? '').split(',').filter((range) => !/;\s*q=0(\.0*)?\s*(;|$)/i.test(range))
  return named.map((range) => (range.split(';')[0] ?? '').trim().toLowerCase())
}
