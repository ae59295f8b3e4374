import { commitLabels, labelsOf, type CommitFacts } from './labels.ts'
import type { ImageRequest } from './name.ts'
import type { ImageConfig } from './oci.ts'
import type { Platform } from './platform.ts'
import { configOf, type RecipeName } from './recipes.ts'
import type { StorePath } from './store-path.ts'

/**
 * What an image is made of: an `ImageRequest` with its package set pinned, its names resolved and its recipes
 * applied. Plain data: everything that reaches the image's bytes is here, or is read from the packages' store paths.
 * A new kind of content is a field here and one stage that reads it.
 */
export type ImageSpec = {
  readonly platform: Platform
  /** The package sets that the packages come from. They say where an image is from, and are not part of its key. */
  readonly sets: readonly PinnedRevision[]
  /** Each output once, in the image's order: where two packages have the same file, the first one wins. */
  readonly packages: readonly SpecPackage[]
  readonly config: ImageConfig
  /** The commit that the image tells of, if it does: then it is another image by each commit. */
  readonly commit?: CommitFacts
  /** Outputs that the last layer links to from `/bin`, `/etc` and so on, in the same order. */
  readonly links: readonly StorePath[]
}

/** A package set at one revision. */
export type PinnedRevision = { readonly tag: string; readonly revision: string }

/** An output of a package. */
export type SpecPackage = {
  /** Its attribute in the package set: `python3Packages.requests`. */
  readonly attribute: string
  readonly version: string
  readonly drvPath: StorePath
  readonly output: string
  readonly outputPath: StorePath
  /** An SPDX expression, where the package says its license. */
  readonly license?: string | undefined
  /** Every image has it, whether or not the name asks for it. */
  readonly implied: boolean
}

/**
 * The spec of a request.
 * @param resolved the revision that the request's tag was pinned to, its commit if images are to tell of it, and the
 *   packages and recipes that its names mean there
 * @param base the config that every image begins with; packages and recipes add to it
 */
export function specOf(
  request: ImageRequest,
  resolved: {
    readonly revision: string
    readonly commit?: CommitFacts | undefined
    readonly packages: readonly SpecPackage[]
    readonly recipes: readonly RecipeName[]
  },
  base: ImageConfig,
): ImageSpec {
  const { revision, commit, packages, recipes } = resolved
  const labels = { ...base.labels, ...labelsOf(packages), ...(commit && commitLabels(commit)) }
  return {
    platform: request.platform,
    sets: [{ tag: request.tag, revision }],
    packages: packages.map(({ attribute, version, drvPath, output, outputPath, license, implied }) => ({
      attribute,
      version,
      drvPath,
      output,
      outputPath,
      ...(license !== undefined && { license }),
      implied,
    })),
    config: { ...base, labels, ...configOf(recipes) },
    ...(commit && { commit }),
    links: packages.map(({ outputPath }) => outputPath),
  }
}
