import { z } from 'zod'
import { keyOf, type Json, type Key } from '../image/canonical.ts'
import type { Platform } from '../image/platform.ts'
import { parseStorePath } from '../image/store-path.ts'

const storePath = z.string().transform((text) => parseStorePath(text))

const oneOutput = z.object({ output: z.string(), outputPath: storePath })

/** What a name means in one revision of a package set, as it is remembered. */
const resolution = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('package'),
    /** The real attribute: `python3Packages.requests`. */
    attribute: z.string(),
    /** The same without an output at its end: `git` of `git.doc`. */
    package: z.string(),
    drvPath: storePath,
    /** The output that the name says; where it says none, the default one and those that belong to it. */
    outputs: z.tuple([oneOutput], oneOutput),
    pname: z.string(),
    version: z.string(),
    /** Where two packages have the same file, the one with the lower number wins. */
    priority: z.int(),
    /** An SPDX expression, where the package says its license. */
    license: z.string().optional(),
  }),
  z.object({ status: z.literal('missing'), nearest: z.array(z.string()) }),
  z.object({
    status: z.literal('invalid'),
    reason: z.string(),
    /** `other`: there is something of that name, but no package. `passing`: it may be over soon; never remembered. */
    kind: z.enum(['other', 'passing']).optional(),
  }),
  z.object({ status: z.literal('denied'), reason: z.string() }),
])

export type Resolution = z.infer<typeof resolution>
export type ResolvedPackage = Extract<Resolution, { status: 'package' }>

/** One output of a package that an image gets. */
export type ChosenOutput = Omit<ResolvedPackage, 'status' | 'outputs'> &
  ResolvedPackage['outputs'][number] & {
    /** Every image has it, whether or not the name asks for it. */
    readonly implied: boolean
  }

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
): Key<'resolution'> => keyOf('resolution', 3, { revision, system: platform.system, name, policy })

/** The packages of an image as people read them: `git 2.39.5`, with the outputs if there are several. */
export function packageTexts(chosen: readonly ChosenOutput[]): string[] {
  const packages = Map.groupBy(chosen, ({ attribute, version }) => `${attribute} ${version}`)
  return [...packages].map(([text, outputs]) =>
    outputs.length === 1 ? text : `${text} (${outputs.map(({ output }) => output).join(', ')})`,
  )
}
