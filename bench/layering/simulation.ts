/**
 * The cost of pulls for a client that keeps its layers: it fetches a layer unless it has one with the same store paths and
 * contents. It pulls all images; then packages change, and it pulls all of them again.
 */
import type { Closure } from '../../src/closure/graph.ts'
import type { PathFacts } from '../../src/image/store-path.ts'
import type { PlannedLayer } from '../../src/layers/strategy.ts'
import { closureIn, randomImages, updated, type World } from './world.ts'

/** Layers in manifest order, without the rootfs. */
export type Layering = (closure: Closure) => readonly PlannedLayer[]

/** Sums over all images of one half of a trace. */
export type Half = {
  readonly images: number
  /** Bytes of NARs fetched. */
  readonly bytes: number
  /** Layers fetched, including the rootfs of each image. */
  readonly requests: number
  /** Layers of all images, and of the image with the most, without the rootfs. */
  readonly layers: number
  readonly mostLayers: number
  /** Leading layers, and bytes of NARs, that an image shares with the previous one. */
  readonly prefixLayers: number
  readonly prefixBytes: number
  /** Bytes of NARs of all images. */
  readonly imageBytes: number
}

/** `first`: all images pulled one after another; `again`: the same after the update. */
export type Trace = { readonly first: Half; readonly again: Half }

export type TraceOptions = {
  /** The number of images to pull. */
  readonly images: number
  /** The share of paths that change themselves in between: 0.05. */
  readonly changes: number
  readonly seed: number
}

/** Simulates the pulls of one client for each layering. */
export function simulate<Name extends string>(
  world: World,
  layerings: Readonly<Record<Name, Layering>>,
  { images, changes, seed }: TraceOptions,
): Record<Name, Trace> {
  const chosen = randomImages(world, images, seed)
  const later = updated(world, changes, seed)
  const before = chosen.map((attributes) => closureIn(world, attributes))
  const after = chosen.map((attributes) => closureIn(later, attributes))
  const traces = Object.entries<Layering>(layerings).map(([name, layering]) => {
    const kept = new Set<string>()
    return [name, { first: pulled(before, layering, kept), again: pulled(after, layering, kept) }]
  })
  return Object.fromEntries(traces) as Record<Name, Trace>
}

function pulled(closures: readonly Closure[], layering: Layering, kept: Set<string>): Half {
  const sums = {
    images: closures.length,
    bytes: 0,
    requests: closures.length,
    layers: 0,
    mostLayers: 0,
    prefixLayers: 0,
    prefixBytes: 0,
    imageBytes: 0,
  }
  let previous: string[] = []
  for (const closure of closures) {
    const { paths } = closure
    const layers = layering(closure).map((layer) => {
      const facts = layer.paths.map((path) => paths.get(path) as PathFacts)
      return {
        key: facts.map(({ storePath, narHash }) => storePath + narHash).join(' '),
        bytes: facts.reduce((sum, { narSize }) => sum + narSize, 0),
      }
    })
    const differs = layers.findIndex(({ key }, index) => key !== previous[index])
    const prefix = differs === -1 ? layers : layers.slice(0, differs)
    const fetched = layers.filter(({ key }) => !kept.has(key))
    sums.bytes += bytesOf(fetched)
    sums.requests += fetched.length
    sums.layers += layers.length
    sums.mostLayers = Math.max(sums.mostLayers, layers.length)
    sums.prefixLayers += prefix.length
    sums.prefixBytes += bytesOf(prefix)
    sums.imageBytes += bytesOf(layers)
    previous = layers.map(({ key }) => key)
    for (const key of previous) kept.add(key)
  }
  return sums
}

const bytesOf = (layers: readonly { readonly bytes: number }[]): number =>
  layers.reduce((sum, { bytes }) => sum + bytes, 0)
