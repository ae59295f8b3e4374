import { LRUCache } from 'lru-cache'
import type { ImageRequest } from '../image/name.ts'
import { mediaTypes, type ManifestForm } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import type { HttpRequest } from './request.ts'

/** The response for an image name: the manifest of one platform, or an index, in one of two forms. */
export type Choice = { readonly kind: 'manifest' | 'index'; readonly form: ManifestForm }

// Clients send few different headers, so parsed ones are cached; long headers, and further ones, are parsed each time.
const choices = new LRUCache<string, Choice>({ max: 1000 })
const longestKept = 1024

/** What this client gets for a name: one platform if the name contains it. */
export function choiceOf(
  request: HttpRequest,
  { platformNamed }: ImageRequest,
  platforms: readonly Platform[],
): Choice {
  const accept = request.header('accept')
  const several = !platformNamed && platforms.length > 1
  if (accept === undefined || accept.length > longestKept) return chooseAnswer(accept, several)
  const key = `${several ? 'several' : 'one'} ${accept}`
  let choice = choices.get(key)
  if (!choice) {
    choice = chooseAnswer(accept, several)
    choices.set(key, choice)
  }
  return choice
}

/**
 * Chooses the response by the `Accept` header (RFC 9110 §12.5.1).
 *
 * The form is OCI's if the client names that type, otherwise Docker's, which the original always sends. A client that
 * names both gets OCI's regardless of order and weight, so that all such clients see the same digest; `q=0` refuses a
 * type. An index is sent only to clients that name its type, and only if there are several platforms or the client accepts
 * nothing else. A client that accepts none of the available types gets one anyway, as in the original: a 406 would not
 * help.
 * @param accept the header; several are joined by commas
 * @param several whether the name stands for several platforms
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

/** The weight of each media range, without its parameters. For duplicates, the higher weight. */
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
