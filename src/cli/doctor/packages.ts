import type { Config } from '../../config.ts'
import { pathSource } from '../../packages/path.ts'
import { problem, type Finding } from './finding.ts'

/** Checks whether package sets in folders can be read. Others are on the network. */
export async function checkPackages(config: Config): Promise<Finding[]> {
  if (config.NIXERY_ROLE === 'front') return [] // needs no packages
  const { NIXERY_CHANNEL, NIXERY_PKGS_REPO, NIXERY_FLAKE, NIXERY_PKGS_PATH } = config
  const ofSets = config.sets?.flatMap(({ source }) => (source.kind === 'path' ? [source.place] : [])) ?? []
  const folders = NIXERY_PKGS_PATH === undefined ? ofSets : [NIXERY_PKGS_PATH, ...ofSets]
  const isRemote = [NIXERY_CHANNEL, NIXERY_PKGS_REPO, NIXERY_FLAKE].some((source) => source !== undefined)
  if (!config.sets && !isRemote && folders.length === 0) {
    return [
      {
        about: 'packages',
        state: 'warning',
        message: 'no package set is configured: the server uses the demo packages',
        fix: 'set NIXERY_CHANNEL=nixos-unstable, NIXERY_PKGS_REPO, NIXERY_PKGS_PATH or NIXERY_FLAKE',
      },
    ]
  }
  return Promise.all(
    folders.map(async (folder): Promise<Finding> => {
      try {
        await pathSource(folder, { fresh: 0, stale: 0, tags: 'latest' }).usable()
        return { about: 'packages', state: 'ok', message: `the package set in ${folder} can be read` }
      } catch (error) {
        const finding = problem('packages', error)
        return { ...finding, message: `${folder}: ${finding.message}` }
      }
    }),
  )
}
