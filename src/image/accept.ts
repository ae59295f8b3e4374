import { mediaTypes, type ManifestForm } from './oci.ts'

/**
 * The form of a manifest that a client gets: OCI's if it names that type, else Docker's, which is what the
 * original always sends. A client that names both gets OCI's whatever their order, so that all of them see the
 * same digest; one that refuses a type with `q=0` does not get it.
 * @param accept the `Accept` header, several joined by commas (RFC 9110 §12.5.1)
 */
export function chooseForm(accept: string | undefined): ManifestForm {
  const named = (accept ?? '').split(',').filter((range) => !/;\s*q=0(\.0*)?\s*(;|$)/i.test(range))
  const types = named.map((range) => (range.split(';')[0] ?? '').trim().toLowerCase())
  return types.includes(mediaTypes.oci.manifest) ? 'oci' : 'docker'
}
