import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { layeringKey } from './builds/layers.ts'
import type { Config } from './config.ts'
import type { Facts } from './fleet/agreement.ts'
import { archiveVersion } from './layers/archive.ts'
import { rootfsVersion } from './rootfs/rootfs.ts'
import type { Worker } from './worker.ts'

/** Settings on which the meaning of names or the bytes of images depend. */
const ofBuilds = [
  'NIXERY_CHANNEL',
  'NIXERY_CHANNEL_TAGS',
  'NIXERY_CHANNEL_COMMITS',
  'NIXERY_PKGS_REPO',
  'NIXERY_FLAKE',
  'NIXERY_SETS',
  'NIXERY_REFS',
  'NIXERY_TAGS',
  'NIXERY_ALLOW',
  'NIXERY_DENY',
  'NIXERY_ALLOW_UNFREE',
  'NIXERY_ALLOW_BROKEN',
  'NIXERY_EVAL',
  'NIXERY_RECIPE_NAMES',
  'NIXERY_IMAGE_URL',
  'NIXERY_CREATED',
  'NIXERY_STRATEGY',
  'NIXERY_MAX_LAYERS',
  'NIXERY_SHARED_CACHE',
] as const satisfies readonly (keyof Config)[]

const filesOfBuilds = ['NIXERY_SETS_FILE', 'NIXERY_NIXPKGS_CONFIG', 'NIXERY_OVERLAYS'] as const

/** Settings on which responses to clients depend. */
const ofServing = [
  'NIXERY_AUTH',
  'NIXERY_PUBLIC_URL',
  'NIXERY_CATALOG',
  'NIXERY_RECIPE_NAMES',
  'NIXERY_PLATFORMS',
] as const satisfies readonly (keyof Config)[]

const filesOfServing = ['NIXERY_POLICY', 'NIXERY_HTPASSWD'] as const

/** The facts that workers must have in common, so that an image has the same digest on each of them. */
export async function factsOfBuilds(
  config: Config,
  { layering, packer, shared }: Pick<Worker, 'layering' | 'packer' | 'shared'>,
): Promise<Facts> {
  return {
    ...settingsOf(config, ofBuilds),
    ...(await filesOf(config, filesOfBuilds)),
    NIX_POPULARITY_URL: shortHash(layeringKey(layering()).popularity ?? ''),
    ...(shared && { NIXERY_SHARED_CACHE_KEY: shortHash(shared.publicKey) }),
    NIXERY_COMPRESSION: shortHash(packer.compressorId),
    'the format of layers (upgrade all workers)': shortHash([archiveVersion, rootfsVersion]),
  }
}

/** The facts that front ends must have in common, so that a client gets the same responses from each. */
export async function factsOfServing(config: Config): Promise<Facts> {
  const key = config.NIXERY_TOKEN_KEY ?? join(config.NIXERY_DATA, 'token.key')
  return {
    ...settingsOf(config, ofServing),
    ...(await filesOf(config, filesOfServing)),
    ...(config.NIXERY_AUTH !== 'none' && { NIXERY_TOKEN_KEY: shortHash(await contentsOf(key)) }),
  }
}

const settingsOf = (config: Config, names: readonly (keyof Config)[]): Facts =>
  Object.fromEntries(names.map((name) => [name, shortHash(config[name] ?? null)]))

async function filesOf(
  config: Config,
  names: readonly (typeof filesOfBuilds | typeof filesOfServing)[number][],
): Promise<Facts> {
  const entries = names.map(async (name) => {
    const files = [config[name] ?? []].flat()
    return [name, shortHash(await Promise.all(files.map(contentsOf)))] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

/** A hash of a file's contents, or of its path if it is a folder or unreadable. */
const contentsOf = async (file: string): Promise<string> =>
  hash('sha256', await readFile(file).catch(() => Buffer.from(file)))

const shortHash = (value: unknown): string => hash('sha256', JSON.stringify(value)).slice(0, 32)
