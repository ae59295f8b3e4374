import { hasCode, NixeryError } from '../errors.ts'
import type { Image } from '../builds/image.ts'
import type { Platform } from '../image/platform.ts'

/** An image of one of several platforms. */
export type PlatformImage = { readonly platform: Platform; readonly image: Image }

/**
 * Builds an image for each platform concurrently. A platform is omitted only for a reason that is permanent for the
 * revision of the package set: a missing attribute, an unsupported platform, a policy that refuses it. Any other
 * failure, such as of a builder, fails all: the meaning of a name must not depend on whether a build succeeds.
 * @returns the images, in the order of their platforms; at least one
 * @throws the first other failure; if every platform is omitted, an error with the reason for each
 */
export async function imagesOf(
  platforms: readonly Platform[],
  build: (platform: Platform) => Promise<Image>,
): Promise<PlatformImage[]> {
  const leftOut: LeftOut[] = []
  const built = await Promise.all(
    platforms.map(async (platform) => {
      try {
        return [{ platform, image: await build(platform) }]
      } catch (error) {
        if (!isFixed(error)) throw onPlatforms([platform], error)
        leftOut.push({ platform, error })
        return []
      }
    }),
  )
  const images = built.flat()
  if (images.length > 0) return images
  throw noneOf(leftOut.toSorted((a, b) => platforms.indexOf(a.platform) - platforms.indexOf(b.platform)))
}

type LeftOut = { readonly platform: Platform; readonly error: NixeryError }

/** Failures that are permanent for the revision. */
const isFixed = (error: unknown): error is NixeryError => hasCode(error, 'PACKAGE_UNKNOWN', 'PACKAGE_DENIED')

/**
 * A failure of the requested image, whose message names the affected platforms. Failures that do not depend on the
 * platform are unchanged.
 */
export function onPlatforms(platforms: readonly Platform[], error: unknown): unknown {
  if (!hasCode(error, ...ofPlatform)) return error
  const { code, message, hint, detail } = error
  return new NixeryError(code, `${namesOf(platforms)}: ${message}`, {
    cause: error,
    detail,
    ...(hint !== undefined && { hint }),
  })
}

const ofPlatform = [
  'PACKAGE_UNKNOWN',
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'SOURCE_INVALID',
  'EVALUATION_TIMEOUT',
  'BUILD_FAILED',
  'BUILD_TIMEOUT',
] as const

/** One error for all platforms: `PACKAGE_DENIED` if one of them is. A reason that several share appears once. */
function noneOf(failed: readonly LeftOut[]): NixeryError {
  const byMessage = Map.groupBy(failed, ({ error }) => error.message)
  const messages = [...byMessage].map(
    ([message, some]) => `${namesOf(some.map(({ platform }) => platform))}: ${message}`,
  )
  const worst = failed.find(({ error }) => error.code === 'PACKAGE_DENIED') ?? failed[0]
  if (!worst) throw new Error('there is no platform')
  const { code, detail, hint } = worst.error
  return new NixeryError(code, messages.join('\n'), {
    cause: worst.error,
    detail,
    ...(hint !== undefined && { hint }),
  })
}

/** As clients write them: `linux/amd64, linux/arm64`. */
const namesOf = (platforms: readonly Platform[]): string =>
  platforms.map(({ os, architecture }) => `${os}/${architecture}`).join(', ')
