import type { ImageRequest } from '../image/name.ts'
import type { PinnedRequest } from '../packages/sets.ts'
import type { BuilderDeps } from './builder.ts'
import { worldOf } from './request-key.ts'

/** A request at one revision of its package set. */
export type PinnedBuild = {
  readonly pinnedRequest: PinnedRequest<ImageRequest>
  /** What the image depends on besides the request, as a text that is equal on all workers with equal settings. */
  readonly world: string
}

/** Pins the package set of a request. @param options.old as in `PackageSource.pin`. @throws what pinning throws */
export type Pin = (request: ImageRequest, options: { readonly old: boolean }) => Promise<PinnedBuild>

export const createPin =
  ({ sets, recipes, layering, packer }: Pick<BuilderDeps, 'sets' | 'recipes' | 'layering' | 'packer'>): Pin =>
  async (request, options) => {
    const planned = layering()
    const pinnedRequest = await sets.pin(request, options)
    const recipeState = await recipes.state(pinnedRequest.request)
    return { pinnedRequest, world: worldOf(pinnedRequest.pinned, planned, recipeState, packer.compressorId) }
  }
