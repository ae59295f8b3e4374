import { z } from 'zod'
import { keyOf, type Json, type Key } from '../image/canonical.ts'
import type { Platform } from '../image/platform.ts'
import { parseStorePath } from '../image/store-path.ts'

const storePath = z.string().transform((text) => parseStorePath(text))

/** What a name means in one revision of a package set, as it is remembered. */
const resolution = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('package'),
    /** The real attribute: `python3Packages.requests`. */
    attribute: z.string(),
    /** The same without an output at its end: `git` of `git.doc`. */
    package: z.string(),
    drvPath: storePath,
    output: z.string(),
    outputPath: storePath,
    pname: z.string(),
    version: z.string(),
  }),
  z.object({ status: z.literal('missing'), nearest: z.array(z.string()) }),
  z.object({
    status: z.literal('invalid'),
    reason: z.string(),
    /** `other`: there is something of that name, but no package. */
    kind: z.literal('other').optional(),
  }),
  z.object({ status: z.literal('denied'), reason: z.string() }),
])

export type Resolution = z.infer<typeof resolution>
export type ResolvedPackage = Extract<Resolution, { status: 'package' }>

/** What was remembered; undefined for what this version cannot read, which is to be found out again. */
export function parseResolution(text: string): Resolution | undefined {
  try {
    return resolution.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/**
 * The key under which a name's meaning is remembered.
 * @param policy what the package set is called with, and which names it may be asked for
 */
export const resolutionKey = (
  revision: string,
  platform: Platform,
  name: string,
  policy: Json,
): Key<'resolution'> => keyOf('resolution', 2, { revision, system: platform.system, name, policy })
