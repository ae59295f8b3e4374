import { compressionChoices } from '../layers/compressor.ts'
import { defaultMaxLayers } from '../layers/plan.ts'
import { z } from 'zod'
import { oneOf, seconds, text, whole } from './values.ts'

/** Whoever has the value that earlier versions had is told what to use. */
const compression = z
  .string()
  .refine((value) => value !== 'igzip', {
    error: '"igzip" is not supported any more: use libdeflate; blobs that igzip packed are still served',
    abort: true,
  })
  .pipe(oneOf(...compressionChoices))

/** How layers are made. */
export const layerSettings = {
  NIXERY_STRATEGY: oneOf('stable', 'nixery')
    .default('stable')
    .describe(
      'which store paths share a layer: `stable`, independent of the rest of the image, or `nixery`, the original’s way',
    ),
  NIXERY_MAX_LAYERS: whole('a number of layers', 1, 120)
    .default(defaultMaxLayers)
    .describe('layers of store paths in an image; one of links is added. Docker can mount 125'),
  NIXERY_COMPRESSION: compression
    .default('auto')
    .describe(
      'what compresses layers: `libdeflate`, `gzip` (zlib), `zstd`, `none`, or `auto`, libdeflate where it is there and gzip where not; see compression.md',
    ),
  NIXERY_PACK_TIMEOUT: seconds.default(900).describe('seconds that packing one layer may take'),
  NIX_POPULARITY_URL: text
    .optional()
    .describe('http, https or file address of popularity data, made by `nixery popcount`'),
  NIXERY_POPULARITY_REFRESH: seconds
    .default(3600)
    .describe('seconds from one reading of the popularity data to the next'),
}
