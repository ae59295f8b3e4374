import { isDeepStrictEqual } from 'node:util'
import type { Closure } from '../closure/graph.ts'
import { keyOf, type Json } from '../image/canonical.ts'
import type { ImageConfig } from '../image/oci.ts'
import { recipes } from '../image/recipes.ts'
import type { ImageSpec } from '../image/spec.ts'
import { archiveVersion } from '../layers/archive.ts'
import { environment, rootfsVersion } from '../rootfs/rootfs.ts'
import { closureKey } from './closure.ts'
import { layeringKey, type LayerOptions } from './layers.ts'

/**
 * The key of an image: everything that its bytes depend on. Package sets, revisions and names are not part of it,
 * so an image that stays the same keeps its key when its package set moves on.
 */
export const imageKey = (
  spec: ImageSpec,
  closure: Closure,
  layering: Omit<LayerOptions, 'compressorId'>,
  compressorId: string,
): string =>
  keyOf('image', 1, {
    roots: closure.roots,
    closure: closureKey(closure),
    architecture: spec.platform.architecture,
    ...configKey(spec.config),
    layering: layeringKey(layering),
    compressor: compressorId,
    formats: [archiveVersion, rootfsVersion],
  })

/**
 * The config in the key. Catalogs have keys of two configs from before there were others, and keep them: the plain one
 * and that of `shell`, told apart by a boolean. `rootfsVersion` stands for the usual environment.
 */
function configKey(config: ImageConfig): { shell: boolean; config?: Json } {
  if (isDeepStrictEqual(config, { env: environment })) return { shell: false }
  if (isDeepStrictEqual(config, { env: environment, ...recipes.shell.config })) return { shell: true }
  return { shell: false, config }
}
