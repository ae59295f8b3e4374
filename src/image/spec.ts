import { environmentOn, configOn } from './on-base.ts'
import type { BaseImage } from './base.ts'
import type { Account, ImageFile } from './contents.ts'
import { commitLabels, commitsOf, labelsOf, type CommitFacts } from './labels.ts'
import type { ImageRequest } from './name.ts'
import type { ImageConfig } from './oci.ts'
import type { Platform } from './platform.ts'
import type { Recipe } from './recipes.ts'
import { byText, type StorePath } from './store-path.ts'

/**
 * The specification of an image: an `ImageRequest` with its package set pinned, its names resolved and its recipes
 * applied. It is plain data: everything in the image comes from here or from the packages' store paths. To add a new kind
 * of content, add a field here and a stage that reads it.
 */
export type ImageSpec = {
  readonly platform: Platform
  /** The package sets of the packages. They record the origin of an image, and are not part of its key. */
  readonly sets: readonly PinnedRevision[]
  /** Outputs without duplicates, in order of precedence: if two have the same file, the first one wins. */
  readonly packages: readonly SpecPackage[]
  readonly config: ImageConfig
  /** The commit that the image names, if any; then each commit results in a different image. */
  readonly commit?: CommitFacts
  /** Outputs that the last layer links to from `/bin`, `/etc` and so on, in the same order. */
  readonly links: readonly StorePath[]
  /** The image that it is built on, whose layers come first. */
  readonly base?: BaseImage
  /** Store paths that recipes refer to: part of the image, but not linked. */
  readonly roots?: readonly SpecRoot[]
  /** The contributions of recipes to the last layer. */
  readonly accounts?: readonly Account[]
  readonly files?: readonly ImageFile[]
  readonly nixDatabase?: boolean
  readonly annotations?: Readonly<Record<string, string>>
  readonly maxLayers?: number
}

/** A store path that a recipe refers to: an output, or a file that evaluation has put into the store. */
export type SpecRoot = {
  readonly outputPath: StorePath
  readonly of?: { readonly drvPath: StorePath; readonly output: string }
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
  /** The commit of the package set that it comes from, if that is not the pinned revision. */
  readonly commit?: string | undefined
  /** An SPDX expression, if the package has a license. */
  readonly license?: string | undefined
  /** Whether every image has it, even if it is not requested. */
  readonly implied: boolean
}

/**
 * The spec of a request.
 * @param resolved the pinned revision of the request's tag, its commit if images name it, and the resolved packages and
 *   recipes
 * @param standing the config of every image, to which packages and recipes add
 */
export function specOf(
  request: ImageRequest,
  resolved: {
    readonly revision: string
    readonly commit?: CommitFacts | undefined
    readonly packages: readonly SpecPackage[]
    /** All recipes of the request as one. */
    readonly recipe: Recipe
    readonly roots?: readonly SpecRoot[]
    /** The recipe's base, for the platform of the request. */
    readonly base?: BaseImage | undefined
  },
  standing: ImageConfig,
): ImageSpec {
  const { revision, commit, packages, recipe, roots = [], base } = resolved
  const labels = {
    ...standing.labels,
    ...labelsOf(packages),
    ...(commit && { ...commitLabels(commit), ...commitsOf(packages) }),
    ...recipe.labels,
  }
  const run = { ...standing, ...picked(recipe, configFields), labels }
  return {
    platform: request.platform,
    sets: [{ tag: request.tag, revision }],
    packages: packages.map(
      ({ attribute, version, drvPath, output, outputPath, commit: other, license, implied }) => ({
        attribute,
        version,
        drvPath,
        output,
        outputPath,
        ...(other !== undefined && { commit: other }),
        ...(license !== undefined && { license }),
        implied,
      }),
    ),
    config: base
      ? {
          ...configOn(base.config, run),
          env: envOf(recipe, environmentOn(base.config.env, standing.env)),
        }
      : { ...run, env: envOf(recipe, standing.env) },
    ...(base && { base }),
    ...(commit && { commit }),
    links: packages.map(({ outputPath }) => outputPath),
    ...(roots.length > 0 && { roots }),
    ...picked(recipe, contentsFields),
  }
}

/** Fields of a recipe that are part of the config as they are. */
const configFields = [
  'entrypoint',
  'cmd',
  'user',
  'workdir',
  'ports',
  'volumes',
  'stopSignal',
  'healthcheck',
] as const

const contentsFields = ['accounts', 'files', 'nixDatabase', 'annotations', 'maxLayers'] as const

const picked = <Field extends keyof Recipe>(recipe: Recipe, fields: readonly Field[]) =>
  Object.fromEntries(
    fields.flatMap((field) => (recipe[field] === undefined ? [] : [[field, recipe[field]]])),
  ) as Partial<Pick<Recipe, Field>>

/** Variables in their order: those of every image, then those of recipes by name. */
function envOf({ env = {} }: Recipe, standing: readonly string[]): string[] {
  const variables = new Map(standing.map((text) => [text.slice(0, text.indexOf('=')), text]))
  for (const [name, value] of Object.entries(env).sort(([a], [b]) => byText(a, b))) {
    variables.set(name, `${name}=${value}`)
  }
  return [...variables.values()]
}
