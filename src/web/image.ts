import { z } from 'zod'
import type { Estimate, Estimates } from '../builds/estimates.ts'
import { parseImage, type Image } from '../builds/image.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { isNixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import { platforms, type Platform } from '../image/platform.ts'
import type { BuildRecord, History } from './history.ts'

/** Where images are looked up. */
export type ImageDeps = {
  readonly catalog: Pick<Catalog, 'pulledImages' | 'servedImages'>
  /** Reads a small blob; undefined if it is missing or too large. */
  readonly read: (digest: Digest) => Promise<Buffer | undefined>
  readonly estimates: Pick<Estimates, 'of'>
  readonly history: Pick<History, 'recent'>
  readonly platforms: readonly Platform[]
}

type Tag = Awaited<ReturnType<Catalog['pulledImages']>>[number] & { readonly image: Image }

/** The contents of an image's page. */
export type ImageFacts = {
  readonly name: string
  /** The last pulled one first. */
  readonly tags: readonly Tag[]
  /** The one shown in detail. */
  readonly shown: Tag
  /** Undefined if its blob is missing or cannot be read. */
  readonly config: ConfigFacts | undefined
  /** Undefined if the packages have changed since the image was made. */
  readonly packages: Estimate['packages'] | undefined
  /** All images with this name, newest first. */
  readonly given: readonly { readonly image: Image; readonly madeAt: number }[]
  /** The build that made the image, if it is remembered. */
  readonly build: BuildRecord | undefined
}

// The maximum number of tags and images shown.
const [mostTags, mostGiven] = [100, 50]

const texts = z.array(z.string()).nullish()
const configForm = z.object({
  config: z
    .object({
      Env: texts,
      Entrypoint: texts,
      Cmd: texts,
      User: z.string().nullish(),
      WorkingDir: z.string().nullish(),
      StopSignal: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
    })
    .default({}),
  history: z.array(z.object({ comment: z.string().default('') })).default([]),
})
export type ConfigFacts = z.infer<typeof configForm>

/**
 * Collects what is known about the images with a name.
 * @param wanted the tag and architecture to show in detail; the last pulled by default
 * @returns undefined if none was pulled
 */
export async function imageFacts(
  { catalog, read, estimates, history, platforms: defaults }: ImageDeps,
  request: ImageRequest,
  wanted: { readonly tag: string | undefined; readonly architecture: string | undefined },
): Promise<ImageFacts | undefined> {
  const name = formatImageName(request)
  const [tags, given] = await Promise.all([
    catalog.pulledImages(name, mostTags, parseImage),
    catalog.servedImages(name, mostGiven, parseImage),
  ])
  const isWanted = ({ tag, architecture }: Tag) =>
    tag === (wanted.tag ?? tag) && architecture === (wanted.architecture ?? architecture)
  const shown = tags.find(isWanted) ?? tags[0]
  if (!shown) return undefined
  const [text, estimate] = await Promise.all([
    read(shown.image.config.digest),
    estimateOf(estimates, request, shown, defaults),
  ])
  const isSame = isMadeOf(estimate, shown.image)
  const digests = new Set<string>(Object.values(shown.image.manifests).map(({ digest }) => digest))
  const build = history
    .recent()
    .find(({ digest, image }) => digest !== undefined && digests.has(digest) && image.split(':')[0] === name)
  return {
    name,
    tags,
    shown,
    given,
    config: text && parseConfig(text),
    packages: isSame && estimate?.packages.length !== 0 ? estimate?.packages : undefined,
    build,
  }
}

function parseConfig(text: Buffer): ConfigFacts | undefined {
  try {
    return configForm.safeParse(JSON.parse(text.toString())).data
  } catch {
    return undefined
  }
}

/** What is known about the current versions of the packages. */
async function estimateOf(
  estimates: Pick<Estimates, 'of'>,
  request: ImageRequest,
  { architecture }: Tag,
  [first]: readonly Platform[],
): Promise<Estimate | undefined> {
  const platform = Object.entries(platforms).find(([name]) => name === architecture)?.[1] ?? first
  try {
    return await estimates.of(platform ? { ...request, platform } : request)
  } catch (error) {
    if (!isNixeryError(error)) throw error
    return undefined // the package set cannot be reached
  }
}

/** Whether an estimate matches this image, that is, has the same layers. */
const isMadeOf = (estimate: Estimate | undefined, image: Image): boolean =>
  estimate?.layers !== undefined &&
  estimate.layers.length === image.layers.length &&
  estimate.layers.every(({ packed }, index) => packed?.digest === image.layers[index]?.digest)
