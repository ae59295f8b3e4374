import type { ImageRequest } from '../image/name.ts'
import { splitVersion } from '../image/version.ts'
import { hasOwnRecipes, keyOfJob } from './jobs.ts'
import type { Pin } from './pins.ts'

// Seconds for which the meaning of a version is cached: it depends on a growing index.
const versionWindow = 300

/** Whether the meaning of a request may change even if the packages stay the same. */
export const mayChange = (request: ImageRequest): boolean =>
  hasOwnRecipes(request) || request.packages.some((name) => splitVersion(name))

/** The window of a job whose result may change. */
export const windowOf = (request: ImageRequest, { at }: Pin): number | undefined =>
  mayChange(request) ? Math.floor(at / versionWindow) : undefined

type Last = { readonly world: string; readonly window: number | undefined; readonly key: string }
// Repeated requests are the same object, so their keys are computed once.
const keys = new WeakMap<ImageRequest, Last>()

/** The key of an image at the revision of a tag. */
export function keyOfImage(request: ImageRequest, pin: Pin): string {
  const window = windowOf(request, pin)
  const last = keys.get(request)
  if (last && last.world === pin.world && last.window === window) return last.key
  const key = keyOfJob({ kind: 'image', request, world: pin.world }, window)
  keys.set(request, { world: pin.world, window, key })
  return key
}
