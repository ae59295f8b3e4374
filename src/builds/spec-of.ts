import type { ImageRequest } from '../image/name.ts'
import { specOf, type ImageSpec } from '../image/spec.ts'
import type { StorePath } from '../image/store-path.ts'
import type { WantedOutput } from '../nix/realise.ts'
import type { PinnedSet } from '../packages/source.ts'
import { environment } from '../rootfs/environment.ts'
import type { Bases } from './bases.ts'
import { findBase } from './base-failures.ts'
import type { NamesOfRecipes } from './find-recipes.ts'
import type { ResolvedRequest, ResolveOptions, Resolver } from './resolve.ts'

export type SpecDeps = {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly bases: Pick<Bases, 'find'>
  /** Labels of every image, besides those from its packages. */
  readonly labels: Readonly<Record<string, string>>
}

export type SpecOfRequest = {
  readonly spec: ImageSpec
  readonly packages: ResolvedRequest['packages']
  /** For messages. */
  readonly named: NamesOfRecipes
}

/**
 * The spec of a request, with its names resolved and its base found.
 * @throws what `Resolver.resolve` and `findBase` throw
 */
export async function specFor(
  { resolver, bases, labels }: SpecDeps,
  request: ImageRequest,
  pinned: PinnedSet,
  options: ResolveOptions,
): Promise<SpecOfRequest> {
  const { packages, recipe, roots, named } = await resolver.resolve(request, pinned, options)
  const base =
    recipe.base === undefined
      ? undefined
      : await findBase(bases, named.baseOf, recipe.base, request.platform, options)
  const { revision, commit } = pinned
  const resolved = { revision, commit, packages, recipe, roots, base }
  return { spec: specOf(request, resolved, { env: environment, labels }), packages, named }
}

/** All store paths that an image is built from. */
export const rootsOf = ({ packages, roots = [] }: ImageSpec): StorePath[] => [
  ...new Set([...packages, ...roots].map(({ outputPath }) => outputPath)),
]

/** The outputs that Nix must realise for an image. */
export const outputsToRealise = ({ packages, roots = [] }: ImageSpec): WantedOutput[] => [
  ...packages,
  ...roots.map(({ outputPath, of }) => ({ ...of, outputPath })),
]
