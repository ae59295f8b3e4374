import type { ImageRequest } from '../image/name.ts'
import { specOf, type ImageSpec } from '../image/spec.ts'
import type { StorePath } from '../image/store-path.ts'
import type { WantedOutput } from '../nix/realise.ts'
import type { PinnedSet } from '../packages/source.ts'
import { environment } from '../rootfs/environment.ts'
import type { Resolved } from './resolve.ts'

/** The spec of a resolved request. */
export const resolvedSpec = (
  request: ImageRequest,
  { revision, commit }: PinnedSet,
  { packages, recipe, roots }: Resolved,
  labels: Readonly<Record<string, string>>,
): ImageSpec => specOf(request, { revision, commit, packages, recipe, roots }, { env: environment, labels })

/** All store paths that an image is built for. */
export const rootsOf = ({ packages, roots = [] }: ImageSpec): StorePath[] => [
  ...new Set([...packages, ...roots].map(({ outputPath }) => outputPath)),
]

/** The outputs that Nix must realise for an image. */
export const outputsToRealise = ({ packages, roots = [] }: ImageSpec): WantedOutput[] => [
  ...packages,
  ...roots.map(({ outputPath, of }) => ({ ...of, outputPath })),
]
