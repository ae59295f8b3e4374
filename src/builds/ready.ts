import type { Catalog, KnownLayer } from '../catalog/catalog.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { PinnedRequest, PackageSets } from '../packages/sets.ts'
import { build, type BuiltImage, type FlowDeps, type Layering } from './build.ts'
import { notReady } from './not-ready.ts'
import type { OneRevision } from './one-revision.ts'
import type { Recent } from './recent.ts'
import { createFlights, type Flights } from './single-flight.ts'

export type ReadyDeps = FlowDeps & {
  readonly catalog: Pick<Catalog, 'tags'>
  readonly sets: Pick<PackageSets, 'pin' | 'current'>
  readonly layering: () => Layering
  readonly recent: Recent
  readonly keyFor: (pinned: PinnedRequest<ImageRequest>, layering: Layering) => Promise<string>
  readonly packing: Flights<KnownLayer>
}

/**
 * Finds existing images for clients that may not build: nothing is evaluated, fetched, realised or packed. An image
 * that is only in the catalog is found with a few queries, whatever its name.
 * @throws NOT_READY; what pinning `latest` throws; the packages' stored failures
 */
export function createReady(
  deps: ReadyDeps,
): (request: ImageRequest, together: OneRevision) => Promise<BuiltImage> {
  const { sets, catalog, recent } = deps
  const lookups = createFlights<BuiltImage>()

  /** Pinning `latest` is the operator's own work. Other tags are the client's choice. */
  const pin = async (request: ImageRequest, together: OneRevision): Promise<PinnedRequest<ImageRequest>> => {
    const { tag } = request
    if (tag !== 'latest' && sets.current(request) === undefined) {
      // Accept only tags under which this image was served before: query the first tag after the text that sorts just before
      // it.
      const [found] = await catalog.tags(formatImageName(request), { after: textBefore(tag), limit: 1 })
      if (found !== tag) throw notReady()
    }
    return together.pin(sets, request, { old: true })
  }

  return async (request, together) => {
    const layering = deps.layering()
    const pinned = await pin(request, together)
    const key = await deps.keyFor(pinned, layering)
    const known = await recent.find(key)
    if (known) return known
    const found = await lookups.run(key, (demand) =>
      build(
        {
          ...deps,
          ...demand,
          readyOnly: true,
          enter: refuse,
          begin() {},
          emit() {},
          layering,
          request: pinned.request,
        },
        pinned.pinned,
      ),
    )
    recent.remember(key, found)
    return found
  }
}

const refuse = (): never => {
  throw notReady()
}

/** A text that sorts before another one, with no possible tag between them. */
const textBefore = (tag: string): string =>
  `${tag.slice(0, -1)}${String.fromCodePoint((tag.codePointAt(tag.length - 1) ?? 1) - 1)}~`
