import type { ImageKey } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import { keyOf } from '../image/canonical.ts'
import type { ImageSpec } from '../image/spec.ts'
import { archiveVersion } from '../layers/archive.ts'
import { rootfsVersion } from '../rootfs/rootfs.ts'
import { closureKey } from './closure.ts'
import { layeringKey, type LayerOptions } from './layers.ts'

/** The contributions of recipes, if any: images without recipes keep their keys of earlier versions. */
const contentsOf = ({ base, accounts, files, nixDatabase, annotations, maxLayers }: ImageSpec): object => ({
  // Its config is part of the image's config.
  base: base && { reference: base.reference, layers: base.layers },
  accounts,
  files,
  nixDatabase,
  annotations,
  maxLayers,
})

/**
 * The key of an image: everything that its bytes depend on. Package sets, revisions and names are not part of it, so an
 * unchanged image keeps its key when its package set changes, unless the image contains the commit. What the tree of links
 * adds to the config depends only on the closure and the `rootfsVersion`.
 */
export const imageKey = (
  spec: ImageSpec,
  closure: Closure,
  layering: Omit<LayerOptions, 'compressorId'>,
  compressorId: string,
): ImageKey =>
  keyOf('image', 2, {
    roots: closure.roots,
    links: spec.links,
    ...contentsOf(spec),
    closure: closureKey(closure),
    architecture: spec.platform.architecture,
    config: spec.config,
    commit: spec.commit,
    layering: layeringKey(layering),
    compressor: compressorId,
    formats: [archiveVersion, rootfsVersion],
  })
