import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { BaseProblem } from '../bases/errors.ts'
import type { BaseRegistry } from '../bases/registry.ts'
import type { LayerKey } from '../catalog/catalog.ts'
import { isListed, isPinned, parseBase, type BaseImage, type PinnedBase } from '../image/base.ts'
import { keyOf } from '../image/canonical.ts'
import { parseDigest, type Digest } from '../image/digest.ts'
import type { ImageConfig, Layer } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { createBaseLayers, type BaseLayers, type BaseLayersDeps } from './base-layers.ts'
import { notReady } from './not-ready.ts'
import { createFlights } from './single-flight.ts'

/** The base images of recipes, stored locally and identified by their digests. */
export type Bases = Pick<BaseLayers, 'scans'> & {
  /**
   * Returns the base for a platform. Contacts its registry only if it is not in the store.
   * @param reference `registry/name@sha256:…`
   * @throws BaseProblem; NOT_READY if its registry would have to be contacted but must not
   */
  find(reference: string, platform: Platform, options: FindBaseOptions): Promise<BaseImage>
  /** Whether all its layers are in the store. */
  isFetched(base: BaseImage): Promise<boolean>
  /** Copies the layers that the store lacks. @throws BaseProblem, STORE_FULL, STORE_UNAVAILABLE */
  fetch(base: BaseImage, platform: Platform, demand: PartialDemand): Promise<void>
}

export type FindBaseOptions = PartialDemand & {
  /** Called before the registry is contacted; may refuse by throwing. */
  readonly enter?: (() => void) | undefined
  readonly readyOnly?: true | undefined
}

export type BasesDeps = Pick<BaseLayersDeps, 'catalog' | 'blobs' | 'size'> & {
  readonly registry: BaseRegistry
  /** The allowed sources of bases: `registry.example`, or `registry.example/team`. */
  readonly registries: readonly string[]
  /** The timeout in seconds for the manifest of a base, and for each of its layers. */
  readonly timeLimit: number
}

// The number of bases cached in memory, and how long (ms) failures are cached.
const mostKnown = 200
const failureKept = 10_000

const digest = z.string().transform((text) => parseDigest(text))
const layerForm = z.object({
  digest,
  diffId: digest,
  size: z.int().min(0),
  compression: z.enum(['gzip', 'zstd', 'none']),
})
const factsForm = z.object({
  layers: z.array(layerForm).min(1),
  config: z.custom<ImageConfig>((value) => typeof value === 'object' && value !== null),
})

const factsKey = (reference: string, { architecture }: Platform): LayerKey =>
  keyOf('layer', 1, { base: reference, architecture, facts: 1 })

export function createBases(deps: BasesDeps): Bases {
  const { catalog, registry, registries, timeLimit, size } = deps
  const known = new LRUCache<LayerKey, BaseImage>({ max: mostKnown })
  const failures = new LRUCache<LayerKey, BaseProblem>({ max: mostKnown, ttl: failureKept })
  const lookups = createFlights<BaseImage>()

  const inTime: BaseLayersDeps['inTime'] = async (signal, work) => {
    const late = AbortSignal.timeout(timeLimit * 1000)
    try {
      return await work(AbortSignal.any([signal, late]))
    } catch (error) {
      if (!late.aborted || signal.aborted) throw error
      const message = `its registry took more than ${timeLimit} s: the operator can raise NIXERY_FETCH_TIMEOUT`
      throw new BaseProblem(message, { cause: error, passing: true })
    }
  }
  const layers = createBaseLayers({ ...deps, inTime })

  /** @throws BaseProblem for a base that is not pinned, or from another registry */
  const allowed = (reference: string): PinnedBase => {
    const base = parseBase(reference)
    if (!base || !isPinned(base)) throw new BaseProblem('it is not pinned: run `nixery recipe lock`')
    if (isListed(base, registries)) return base
    throw new BaseProblem(
      `bases from this registry are not allowed: the operator can add ${base.host} to NIXERY_BASE_REGISTRIES`,
    )
  }

  const remembered = async (key: LayerKey, reference: string): Promise<BaseImage | undefined> => {
    const row = (await catalog.layers([key])).get(key)
    try {
      return row?.facts === undefined ? undefined : { reference, ...factsForm.parse(JSON.parse(row.facts)) }
    } catch {
      return undefined // written by a later version: request it from the registry again
    }
  }

  const describe = async (base: PinnedBase, reference: string, platform: Platform, signal: AbortSignal) => {
    const found = await inTime(signal, (each) => registry.describe(base, platform, each))
    const bytes = found.layers.reduce((sum, layer) => sum + layer.size, 0)
    if (bytes > size) {
      throw new BaseProblem(
        `its layers have ${bytes} bytes, more than ${size}: use a smaller base, or raise NIXERY_BASE_SIZE`,
      )
    }
    const all = found.layers.map(({ compression, ...one }, index): Layer => {
      return { digest: one.digest, size: one.size, compression, diffId: found.diffIds[index] as Digest }
    })
    return { reference, layers: all, config: found.config }
  }

  return {
    async find(reference, platform, { enter, readyOnly, signal, urgency }) {
      const base = allowed(reference)
      const key = factsKey(reference, platform)
      const found = known.get(key) ?? (await remembered(key, reference))
      if (found) {
        known.set(key, found)
        return found
      }
      if (readyOnly) throw notReady()
      const failure = failures.get(key)
      if (failure) throw failure
      enter?.()
      const start = (demand: { readonly signal: AbortSignal }) =>
        describe(base, reference, platform, demand.signal)
      try {
        const fresh = await lookups.run(key, start, { signal, urgency })
        known.set(key, fresh)
        return fresh
      } catch (error) {
        if (error instanceof BaseProblem) failures.set(key, error)
        throw error
      }
    },

    isFetched: async (base) => (await layers.missing(base)).length === 0,

    async fetch(base, platform, demand) {
      await layers.copy(allowed(base.reference), await layers.missing(base), demand)
      const [first] = base.layers
      if (!first) throw new Error('a base without layers')
      // Recorded with one of its layers, so that both are removed together.
      const facts = JSON.stringify({ layers: base.layers, config: base.config })
      await catalog.rememberLayer(factsKey(base.reference, platform), { ...first, facts }, [])
    },

    scans: (base) => layers.scans(base),
  }
}
