import { compressionChoices } from '../layers/compressor.ts'
import { defaultMaxLayers } from '../layers/strategies.ts'
import { z } from 'zod'
import { oneOf, seconds, text, whole } from './values.ts'

const compressions = oneOf(...compressionChoices)
/** Refuses a value of earlier versions with a hint at what to use. */
const compression = z
  .string()
  .refine((value) => value !== 'igzip', {
    error: '"igzip" is not supported any more: use libdeflate; blobs that igzip packed are still served',
    abort: true,
  })
  .pipe(compressions)
  .meta({ ...compressions.meta() })

/** How layers are planned and packed. */
export const layerSettings = {
  NIXERY_STRATEGY: oneOf('stable', 'nixery')
    .default('stable')
    .describe(
      'which store paths share a layer: `stable` decides independently of the rest of the image, `nixery` uses the original’s algorithm',
    ),
  NIXERY_MAX_LAYERS: whole('a number of layers', 1, 120)
    .default(defaultMaxLayers)
    .describe(
      'maximum number of layers of store paths in an image, without the layer of links. Docker can mount 125',
    ),
  NIXERY_COMPRESSION: compression
    .default('auto')
    .describe(
      'compression of layers: `libdeflate`, `gzip` (zlib), `zstd`, `none`, or `auto`: libdeflate if it is installed, otherwise gzip; see compression.md',
    ),
  NIXERY_PACK_TIMEOUT: seconds.default(900).describe('timeout for packing one layer, in seconds'),
  NIX_POPULARITY_URL: text
    .optional()
    .describe('http, https or file URL of popularity data, as written by `nixery popcount`'),
  NIXERY_POPULARITY_REFRESH: seconds
    .default(3600)
    .describe('seconds between two reads of the popularity data'),
}
