import { z } from 'zod'
import { keyOf, type Json, type Key } from '../image/canonical.ts'
import type { Platform } from '../image/platform.ts'
import { parseStorePath } from '../image/store-path.ts'

const storePath = z.string().transform((text) => parseStorePath(text))

const oneOutput = z.object({ output: z.string(), outputPath: storePath })

/** The meaning of a name in one revision of a package set, as stored in the catalog. */
const resolution = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('package'),
    /** The real attribute: `python3Packages.requests`. */
    attribute: z.string(),
    /** The same without an output at its end: `git` for `git.doc`. */
    package: z.string(),
    drvPath: storePath,
    /** The output that the name selects; by default the default output and those that belong to it. */
    outputs: z.tuple([oneOutput], oneOutput),
    pname: z.string(),
    version: z.string(),
    /** If two packages have the same file, the one with the lower number wins. */
    priority: z.int(),
    /** An SPDX expression, if the package has a license. */
    license: z.string().optional(),
  }),
  z.object({ status: z.literal('missing'), nearest: z.array(z.string()) }),
  z.object({
    status: z.literal('invalid'),
    reason: z.string(),
    /** `other`: the name exists but is not a package. `passing`: a temporary failure, which is never stored. */
    kind: z.enum(['other', 'passing']).optional(),
  }),
  z.object({ status: z.literal('denied'), reason: z.string() }),
])

export type Resolution = z.infer<typeof resolution>
export type ResolvedPackage = Extract<Resolution, { status: 'package' }>

/** One output of a package that an image gets. */
export type ChosenOutput = Omit<ResolvedPackage, 'status' | 'outputs'> &
  ResolvedPackage['outputs'][number] & {
    /** Every image has it, whether or not it was requested. */
    readonly implied: boolean
    /** The commit of the package set that it comes from, if that is not the pinned revision. */
    readonly commit?: string
  }

/** Parses a stored resolution; undefined if this version cannot read it, so that the name is resolved again. */
export function parseResolution(text: string): Resolution | undefined {
  try {
    return resolution.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/**
 * The key under which a name's resolution is stored.
 * @param policy the arguments of the package set, and which names are allowed
 */
export const resolutionKey = (
  revision: string,
  platform: Platform,
  name: string,
  policy: Json,
): Key<'resolution'> => keyOf('resolution', 3, { revision, system: platform.system, name, policy })

/** Formats the packages of an image: `git 2.39.5`, with the outputs if there are several. */
export function packageTexts(chosen: readonly ChosenOutput[]): string[] {
  const packages = Map.groupBy(chosen, ({ attribute, version, commit }) =>
    commit === undefined
      ? `${attribute} ${version}`
      : `${attribute} ${version} of commit ${commit.slice(0, 12)}`,
  )
  return [...packages].map(([text, outputs]) =>
    outputs.length === 1 ? text : `${text} (${outputs.map(({ output }) => output).join(', ')})`,
  )
}
