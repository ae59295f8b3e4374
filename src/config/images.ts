import { imageReferences, listOf, seconds, whole } from './values.ts'

/** What a name means, which images are made ready, and how long a request waits. */
export const imageSettings = {
  NIXERY_PLATFORMS: listOf(['amd64', 'arm64'])
    .prefault('amd64')
    .describe(
      'platforms of a name that says none: the first, or an index of all for clients that take one, such as `amd64,arm64`',
    ),
  NIXERY_WARM: imageReferences
    .default([])
    .describe(
      'names of images, with tags if need be, that are made ready when the server starts, when packages change, and when they are missing from the store; they count as in use while the server runs',
    ),
  NIXERY_WARM_TOP: whole('a number of images', 0, 1000)
    .default(10)
    .describe(
      'how many of the images that are pulled most are made anew when packages change, before they are asked for',
    ),
  NIXERY_MAX_QUEUE: whole('a number of builds', 1, 10_000)
    .default(200)
    .describe(
      'builds that may wait for Nix or for packing; more are refused with 429. Known images and builds in progress are always served',
    ),
  NIXERY_RETRY_LEASE: seconds
    .default(600)
    .describe(
      'seconds for which a client that was told to retry counts as waiting, from each time it asks; a build that nobody waits for is cancelled unless Nix has started on it',
    ),
  NIXERY_MAX_WAIT: seconds
    .optional()
    .describe(
      'seconds that a request waits for a build before it is told to come back; if not set, what its client bears',
    ),
}
