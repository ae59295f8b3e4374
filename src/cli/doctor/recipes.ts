import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../../config.ts'
import { policyOf } from '../../evaluation.ts'
import { platforms } from '../../image/platform.ts'
import { evaluateImage } from '../../nix/image-recipes.ts'
import { createScratchStores } from '../../nix/scratch-store.ts'
import { pathSource } from '../../packages/path.ts'
import { checkRecipes } from '../../recipes/check.ts'
import { openFolder } from '../../recipes/folder.ts'
import { createSetRecipes } from '../../recipes/from-set.ts'
import { counted } from '../../text/amounts.ts'
import { problem, type Finding } from './finding.ts'
import { purposeEnvironment } from './surroundings.ts'

/** Recipes of a package set that are evaluated, and milliseconds for each. */
const mostRecipes = 50
const patience = 60_000

/** Whether the recipes of the operator's folders can be read, with what they include. */
export async function checkRecipeFolders(config: Config): Promise<Finding[]> {
  if (config.NIXERY_ROLE === 'front') return []
  const ofSets = config.sets?.map(({ own }) => own?.NIXERY_RECIPES) ?? []
  const folders = [config.NIXERY_RECIPES, ...ofSets].flatMap((folder) => folder ?? [])
  return (await Promise.all([...new Set(folders)].map(checkFolder))).flat()
}

async function checkFolder(folder: string): Promise<Finding[]> {
  try {
    const checked = await checkRecipes((await openFolder(folder).look()).entries)
    const broken = checked.flatMap(({ problems }) => problems)
    if (broken.length === 0) {
      const message = `${counted(checked.length, 'recipe')} in ${folder} can be read`
      return [{ about: 'recipes', state: 'ok', message }]
    }
    return broken.map((message) => ({
      about: 'recipes',
      state: 'problem',
      message,
      fix: `nixery recipe check ${folder}`,
    }))
  } catch (error) {
    return [problem('recipes', error, 'correct NIXERY_RECIPES')]
  }
}

/**
 * Whether package sets that are folders evaluate, and each of their recipes (`images.NAME`). Sets on the network are only
 * known once they are fetched.
 */
export async function checkSetRecipes(config: Config, signal: AbortSignal): Promise<Finding[]> {
  if (config.NIXERY_ROLE === 'front') return []
  const ofSets = config.sets?.flatMap(({ source }) => (source.kind === 'path' ? [source.place] : [])) ?? []
  const { NIXERY_PKGS_PATH: own } = config
  return (await Promise.all([...ofSets, ...(own === undefined ? [] : [own])].map(ofSet))).flat()

  async function ofSet(folder: string): Promise<Finding[]> {
    const environment = await purposeEnvironment(config, 'evaluate')
    const options = { environment, timeout: patience, signal }
    const scratchHome = await mkdtemp(join(tmpdir(), 'nixery-doctor-'))
    const scratch = createScratchStores(scratchHome)
    const storeless = config.NIXERY_ORIGIN !== 'store'
    const recipes = createSetRecipes({
      nix: {
        evaluateImage: (lookUp) =>
          scratch.with({ ...lookUp, storeless }, (store) => evaluateImage(lookUp, options, store)),
      },
      policy: policyOf(config),
      catalog: { resolutions: async () => new Map(), rememberResolutions: async () => {} },
      later: () => {},
    })
    const fix = `correct the package set in ${folder}`
    const source = pathSource(folder, { fresh: 0, stale: 0, tags: 'latest' })
    try {
      const pinned = await source.pin('latest').catch(() => undefined)
      if (!pinned) return [] // `checkPackages` says why
      const place = { pinned, platform: platforms[config.NIXERY_PLATFORMS[0] ?? 'amd64'] }
      const names = (await recipes.names(place)).slice(0, mostRecipes)
      const findings: Finding[] = []
      for (const name of names) {
        await recipes
          .own(name, place)
          .catch((error: unknown) => findings.push(problem('recipes', error, fix)))
      }
      if (findings.length > 0 || names.length === 0) return findings
      const message = `${counted(names.length, 'recipe')} of the package set in ${folder} evaluate`
      return [{ about: 'recipes', state: 'ok', message }]
    } catch (error) {
      return [problem('packages', error, fix)]
    } finally {
      await rm(scratchHome, { recursive: true, force: true })
    }
  }
}
