import { LRUCache } from 'lru-cache'
import { chooseAnswer, type Choice } from '../image/accept.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import type { HttpRequest } from './request.ts'

// Clients send few different headers, so parsed ones are cached; long headers, and further ones, are parsed each time.
const choices = new LRUCache<string, Choice>({ max: 1000 })
const longestKept = 1024

/** What this client gets for a name, which means one platform if it says so. */
export const choiceOf = (
  request: HttpRequest,
  { platformNamed }: ImageRequest,
  platforms: readonly Platform[],
): Choice => chooseOnce(request.header('accept'), !platformNamed && platforms.length > 1)

function chooseOnce(accept: string | undefined, several: boolean): Choice {
  if (accept === undefined || accept.length > longestKept) return chooseAnswer(accept, several)
  const key = `${several ? 'several' : 'one'} ${accept}`
  const last = choices.get(key)
  if (last) return last
  const choice = chooseAnswer(accept, several)
  choices.set(key, choice)
  return choice
}
