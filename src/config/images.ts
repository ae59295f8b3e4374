import { z } from 'zod'
import { isImageReference, list, seconds } from './values.ts'

/** What a name means, which images are made ready, and how long a request waits. */
export const imageSettings = {
  NIXERY_PLATFORMS: list
    .pipe(z.array(z.enum(['amd64', 'arm64'])).min(1))
    .prefault('amd64')
    .describe(
      'platforms of a name that says none: the first, or an index of all for clients that take one, such as `amd64,arm64`',
    ),
  NIXERY_WARM: list
    .refine((names) => names.every(isImageReference), 'has something that is no name of an image')
    .default([])
    .describe(
      'names of images, with tags if need be, that are made ready when the server starts and packages change',
    ),
  NIXERY_WARM_TOP: z.coerce
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(10)
    .describe(
      'how many of the images that are pulled most are made anew when packages change, before they are asked for',
    ),
  NIXERY_MAX_WAIT: seconds
    .optional()
    .describe(
      'seconds that a request waits for a build before it is told to come back; if not set, what its client bears',
    ),
}
