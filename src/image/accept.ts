import { mediaTypes, type ManifestForm } from './oci.ts'

/** What a client is to get for a name: the manifest of one platform, or an index, each in one form. */
export type Choice = { readonly kind: 'manifest' | 'index'; readonly form: ManifestForm }

/**
 * What a client gets by its `Accept` header (RFC 9110 §12.5.1).
 *
 * The form is OCI's if the client names that type, else Docker's, which is what the original always sends. A client
 * that names both gets OCI's whatever their order or weight, so that all of them see the same digest; `q=0` refuses a
 * type. An index is for those who name its type: where there are several platforms, or when they take nothing else.
 * Who accepts nothing that there is gets what there is, as the original does: a 406 would help nobody.
 * @param accept the header, several joined by commas
 * @param several whether the name means several platforms
 */
export function chooseAnswer(accept: string | undefined, several: boolean): Choice {
  const weights = weightsOf(accept)
  const named = (kind: Choice['kind']): ManifestForm | undefined =>
    forms.find((form) => (weights.get(mediaTypes[form][kind]) ?? 0) > 0)
  const index = named('index')
  if (several && index !== undefined) return { kind: 'index', form: index }
  const manifest = named('manifest')
  if (manifest !== undefined) return { kind: 'manifest', form: manifest }
  const anything = accept === undefined || wildcards.some((range) => (weights.get(range) ?? 0) > 0)
  if (!anything && index !== undefined) return { kind: 'index', form: index }
  const refused = weights.get(mediaTypes.docker.manifest) === 0
  return { kind: 'manifest', form: anything && refused && !isRefused(weights) ? 'oci' : 'docker' }
}

const forms = ['oci', 'docker'] as const
const wildcards = ['*/*', 'application/*'] as const

const isRefused = (weights: ReadonlyMap<string, number>): boolean =>
  weights.get(mediaTypes.oci.manifest) === 0

/** The weight of each media range, without its parameters. Of one that is named twice, the higher. */
function weightsOf(accept: string | undefined): Map<string, number> {
  const weights = new Map<string, number>()
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';')
    const name = type.trim().toLowerCase()
    const refused = parameters.some((parameter) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(parameter))
    weights.set(name, Math.max(refused ? 0 : 1, weights.get(name) ?? 0))
  }
  return weights
}
