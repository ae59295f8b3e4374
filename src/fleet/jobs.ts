import { z } from 'zod'
import type { BuildFailure } from '../builds/builds.ts'
import type { BuiltImage } from '../builds/build.ts'
import { parseImage } from '../builds/image.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import type { ErrorCode } from '../errors.ts'
import { keyOf, type Json } from '../image/canonical.ts'
import type { ImageRequest } from '../image/name.ts'
import { isBuiltIn } from '../image/recipes.ts'

/** The jobs of workers, as JSON. */
export type Job =
  /** An image at the revision that `world` identifies (`worldOf`). */
  | {
      readonly kind: 'image'
      readonly request: ImageRequest
      readonly world: string
      /** The span of the request that has caused it; not part of its key. See `BuildOptions`. */
      readonly traceparent?: string | undefined
    }
  /** An image only if it exists, for clients that may not cause builds. */
  | { readonly kind: 'ready'; readonly request: ImageRequest }
  /** The current revision of a request's tag. */
  | { readonly kind: 'pin'; readonly request: ImageRequest }
  /** The tags of the source of a request's packages. */
  | { readonly kind: 'tags'; readonly request: ImageRequest }
  /** The packages of the operator's recipes in a request. */
  | { readonly kind: 'recipes'; readonly request: ImageRequest; readonly mayEvaluate: boolean }
  /** The current revision of `latest` in a package set. */
  | { readonly kind: 'revision'; readonly set: string | undefined }

export type JobKind = Job['kind']

/** How a job ended. All of it is JSON. */
export type Outcome =
  | { readonly built: BuiltImage }
  /** The tag now means another revision than the job's. */
  | { readonly moved: string }
  /** The revision of a request's tag, and when it was determined: seconds since 1970 by the database's clock. */
  | { readonly world: string; readonly at: number }
  /** Null if the source cannot list its tags. */
  | { readonly tags: readonly string[] | null }
  | { readonly revision: string }
  /** Packages by recipe. */
  | { readonly recipes: Readonly<Record<string, readonly string[]>> }
  /** No client was waiting for it any longer. */
  | { readonly abandoned: true }
  | { readonly failure: BuildFailure }

/** The parts of a request on which the meaning of its name depends. */
const askedFor = ({ platform, recipes, words, set, packages, behind }: ImageRequest): Json => ({
  system: platform.system,
  recipes,
  words,
  set,
  packages,
  behind,
})

/**
 * Identifies a job: equal jobs run once for all waiters.
 * @param window a time window after which the meaning may change, even if the packages stay the same
 */
export function keyOfJob(job: Job, window?: number): string {
  switch (job.kind) {
    case 'image':
      return keyOf('build-job', 1, { world: job.world, window, asked: askedFor(job.request) })
    case 'ready':
      return keyOf('ready-job', 1, { tag: job.request.tag, asked: askedFor(job.request) })
    case 'recipes':
      return keyOf('recipes-job', 1, {
        tag: job.request.tag,
        mayEvaluate: job.mayEvaluate,
        asked: askedFor(job.request),
      })
    case 'tags':
      return keyOf('tags-job', 1, { asked: askedFor(job.request) })
    case 'pin':
      return keyOf('pin-job', 1, { tag: job.request.tag, asked: pinnedBy(job.request) })
    case 'revision':
      return keyOf('revision-job', 1, { set: job.set })
  }
}

/**
 * The parts of a request on which the meaning of its tag depends: few, so that most images share a pin. A word that
 * names a package set may be a package, and recipes, or packages that are recipes, may be read from a folder.
 */
const pinnedBy = (request: ImageRequest): Json =>
  request.set === undefined
    ? { recipes: hasOwnRecipes(request), packages: request.packages.length > 0 }
    : askedFor(request)

/** Whether a request names the operator's recipes. */
export const hasOwnRecipes = ({ recipes }: ImageRequest): boolean => recipes.some((name) => !isBuiltIn(name))

/**
 * The system that a worker must build for to take a job; empty if any worker can. Workers add system features, with blanks
 * between, when they find out that a derivation needs some.
 */
export const needsOf = (job: Job): string => (job.kind === 'image' ? job.request.platform.system : '')

const failureForm = z.object({
  code: z
    .string()
    .transform((code) => code as ErrorCode)
    .optional(),
  message: z.string(),
  hint: z.string().optional(),
  detail: z.unknown().optional(),
})
const outcomeForm = z.union([
  z.object({ built: z.object({ image: z.unknown(), key: z.string() }) }),
  z.object({ moved: z.string() }),
  z.object({ world: z.string(), at: z.number() }),
  z.object({ tags: z.array(z.string()).nullable() }),
  z.object({ revision: z.string() }),
  z.object({ recipes: z.record(z.string(), z.array(z.string())) }),
  z.object({ abandoned: z.literal(true) }),
  z.object({ failure: failureForm }),
])

/** Parses an outcome; undefined if this version cannot read it. */
export function parseOutcome(text: string): Outcome | undefined {
  try {
    const outcome = outcomeForm.parse(JSON.parse(text))
    if (!('built' in outcome)) return 'failure' in outcome ? { failure: failureIn(outcome.failure) } : outcome
    const image = parseImage(JSON.stringify(outcome.built.image))
    return image && { built: { image, key: outcome.built.key as ImageKey } }
  } catch {
    return undefined
  }
}

const failureIn = ({ code, message, hint, detail }: z.infer<typeof failureForm>): BuildFailure => ({
  code,
  message,
  ...(hint !== undefined && { hint }),
  ...(detail !== undefined && { detail }),
})

// Characters; those of today's version are 55.
const longestTraceparent = 200

const jobForm = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('image'),
    request: z.looseObject({}),
    world: z.string(),
    traceparent: z.string().max(longestTraceparent).optional().catch(undefined), // no reason to refuse a build
  }),
  ...(['ready', 'pin', 'tags'] as const).map((kind) =>
    z.object({ kind: z.literal(kind), request: z.looseObject({}) }),
  ),
  z.object({ kind: z.literal('recipes'), request: z.looseObject({}), mayEvaluate: z.boolean() }),
  z.object({ kind: z.literal('revision'), set: z.string().optional() }),
])

/** Parses a job, which a front end of another version may have written; undefined if this version cannot read it. */
export function parseJob(text: string): Job | undefined {
  try {
    return jobForm.parse(JSON.parse(text)) as Job
  } catch {
    return undefined
  }
}
