import { z } from 'zod'
import type { LayerKey, MemberKey } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import type { Popularity } from '../closure/popularity.ts'
import { NixeryError } from '../errors.ts'
import type { Listings } from '../contents/contents.ts'
import { rememberListings } from '../contents/listing-memory.ts'
import { keyOf } from '../image/canonical.ts'
import type { ImageSpec } from '../image/spec.ts'
import { storePathName, type PathFacts, type StorePath } from '../image/store-path.ts'
import { archiveVersion } from '../layers/archive.ts'
import { strategies, strategyVersions } from '../layers/strategies.ts'
import { rootfs, rootfsVersion, type Rootfs } from '../rootfs/rootfs.ts'
import type { RootfsExtra, RootfsInput } from '../rootfs/work.ts'
import { closureKey } from './closure.ts'

/** A layer of an image: its key, and what it is packed from. */
export type LayerSpec = {
  readonly key: LayerKey
  /** A line for `docker history`. */
  readonly comment: string
  /** The size of its store paths in bytes. Large layers are packed first. */
  readonly narSize: number
  /** Its store paths, in order, with the keys of their members. */
  readonly members: readonly {
    readonly storePath: StorePath
    readonly facts: PathFacts
    readonly key: MemberKey
  }[]
  /** Builds the tree of links from the contents of store paths; undefined for other layers. */
  readonly make?: (listings: Listings) => Promise<Rootfs>
}

export type LayerOptions = {
  readonly strategy: keyof typeof strategies
  readonly popularity: Popularity
  readonly maxLayers: number
  readonly compressorId: string
  /** The entries of the base's layers. */
  readonly scans?: () => Promise<RootfsInput['base']>
}

/** What a plan depends on besides the closure, for keys. Only the original's strategy uses popularity. */
export const layeringKey = ({
  strategy,
  maxLayers,
  popularity,
}: Omit<LayerOptions, 'compressorId' | 'scans'>) => ({
  strategy: strategyVersions[strategy],
  maxLayers,
  popularity: strategy === 'nixery' ? popularity.version : undefined,
})

/** The key of a path's member in a layer. */
export const memberKey = (
  { storePath, narHash }: Pick<PathFacts, 'storePath' | 'narHash'>,
  compressorId: string,
): MemberKey => keyOf('member', archiveVersion, { path: storePath, narHash, compressorId })

/** The layers of an image in manifest order: the planned layers, then the tree of links. */
export function layerSpecs(closure: Closure, spec: LinkSpec, options: LayerOptions): LayerSpec[] {
  const { strategy, compressorId } = options
  const layers = strategies[strategy](closure, options).layers.map(({ paths }): LayerSpec => {
    const members = paths.map((storePath) => {
      const facts = closure.paths.get(storePath)
      if (!facts) throw new Error(`${storePath} is not in the closure`)
      return { storePath, facts, key: memberKey(facts, compressorId) }
    })
    return {
      key: keyOf(
        'layer',
        1,
        members.map(({ key }) => key),
      ),
      comment: listed(paths),
      narSize: members.reduce((sum, { facts }) => sum + facts.narSize, 0),
      members,
    }
  })
  return [...layers, linksLayer(closure, spec, options)]
}

// The number of layers that Docker's overlay2 can mount, minus the two that it adds for a container, and the layer of
// links.
const mostLayers = 122

/**
 * The maximum number of layers of store paths, so that runtimes can mount them together with the layers of the base.
 * @throws RECIPE_INVALID if the base leaves no room
 */
export function budgetOf({ base, maxLayers }: Pick<ImageSpec, 'base' | 'maxLayers'>, usual: number): number {
  const wanted = maxLayers ?? usual
  if (!base) return wanted
  const left = mostLayers - base.layers.length
  if (left >= 1) return Math.min(wanted, left)
  throw new NixeryError(
    'RECIPE_INVALID',
    `base: ${base.reference} has ${base.layers.length} layers, but a base may have at most ${mostLayers - 1}`,
  )
}

/** The layers of the base with lines for `docker history`; none without a base. */
export const baseLayersOf = ({ base }: Pick<ImageSpec, 'base'>) =>
  base?.layers.map((layer) => ({ layer, comment: `base ${base.reference}` })) ?? []

/** The inputs of the last layer, besides the closure. */
export type LinkSpec = Pick<ImageSpec, 'platform' | 'links' | 'commit'> &
  Partial<Pick<ImageSpec, 'base' | 'config' | 'accounts' | 'files' | 'nixDatabase'>>

/** The contributions of recipes to the last layer; undefined if there are none. */
function extraOf({ base, accounts, files, nixDatabase, config }: LinkSpec): RootfsExtra | undefined {
  const { workdir, user } = config ?? {}
  // On a base, the base determines whether the user exists.
  const isNeeded = workdir !== undefined || base !== undefined
  const extra = { accounts, files, nixDatabase, workdir, user: isNeeded ? user : undefined }
  return Object.values(extra).some((value) => value !== undefined) ? extra : undefined
}

const remembered = rememberListings()

function linksLayer(
  closure: Closure,
  spec: LinkSpec,
  { compressorId, scans }: Pick<LayerOptions, 'compressorId' | 'scans'>,
): LayerSpec {
  const { platform, links: packages, commit } = spec
  const extra = extraOf(spec)
  const { architecture } = platform
  const buildId = commit?.id
  return {
    key: keyOf('rootfs', rootfsVersion, {
      packages,
      buildId,
      closure: closureKey(closure),
      architecture,
      ...(extra && { extra }),
      ...(spec.base && { base: spec.base.layers.map(({ diffId }) => diffId) }),
      archiveVersion,
      compressorId,
    }),
    comment: `links to ${listed(packages)}`,
    narSize: 0,
    members: [],
    make: async (listings) => {
      const facts = [...closure.paths.values()]
      const base = await scans?.()
      return rootfs(remembered(listings, facts), { packages, closure: facts, platform, buildId, extra, base })
    },
  }
}

function listed(paths: readonly StorePath[]): string {
  const shown = paths.slice(0, 5).map(storePathName).join(', ')
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown
}

/**
 * The environment variables and warnings that depend on the contents of packages. They are stored with the layer of links,
 * so that an image of known layers can be composed without reading store paths.
 */
export type LinkFacts = Pick<Rootfs, 'env' | 'warnings'>

const linkFactsForm = z.object({ env: z.array(z.string()), warnings: z.array(z.string()) })

/** Formats facts for the catalog. */
export const linkFactsText = ({ env, warnings }: LinkFacts): string => JSON.stringify({ env, warnings })

/** Parses facts in the catalog. Returns undefined if there are none, or this version cannot read them. */
export function parseLinkFacts(text: string | undefined): LinkFacts | undefined {
  try {
    return text === undefined ? undefined : linkFactsForm.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
