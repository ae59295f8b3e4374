import { hasCode, NixeryError } from '../errors.ts'
import { parseImageName, type ImageRequest, type Vocabulary } from '../image/name.ts'
import { suggestionText } from '../text/words.ts'

/** Removes suggested names that the client may not know from a failure. */
export function withoutHidden(
  error: unknown,
  isVisible: (image: ImageRequest) => boolean,
  vocabulary?: Vocabulary,
): unknown {
  if (!hasCode(error, 'PACKAGE_UNKNOWN')) return error
  const { detail } = error
  if (!detail) return error
  const { suggestions } = detail
  const maySee = (name: string): boolean => {
    try {
      return isVisible(parseImageName(name, undefined, vocabulary))
    } catch {
      return false
    }
  }
  const seen = suggestions.map((each) => ({ ...each, nearest: each.nearest.filter(maySee) }))
  if (seen.every(({ nearest }, index) => nearest.length === suggestions[index]?.nearest.length)) return error
  const message = suggestions.reduce((text, { name, nearest }, index) => {
    const left = seen[index]?.nearest ?? []
    return text.replace(
      nearest.length > 0 ? ` ${suggestionText(name, nearest)}` : '',
      left.length > 0 ? ` ${suggestionText(name, left)}` : '',
    )
  }, error.message)
  return new NixeryError('PACKAGE_UNKNOWN', message, {
    cause: error,
    detail: { ...detail, suggestions: seen.filter(({ nearest }) => nearest.length > 0) },
  })
}
