import { access, constants, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { NixeryError } from '../errors.ts'
import { fingerprint } from './fingerprint.ts'
import type { PackageSource } from './source.ts'

/**
 * A package set in a folder (`NIXERY_PKGS_PATH`). Its revision is a fingerprint of the tree, taken at most once
 * in `ttl` milliseconds; a folder in the Nix store cannot change and is its own revision.
 * @param tags `latest`: another tag is unknown, as it has no meaning here; `any`: tags are ignored, as the
 *   original does
 */
export function pathSource(
  directory: string,
  { ttl, tags }: { ttl: number; tags: 'latest' | 'any' },
): PackageSource {
  const revisionOf = async (folder: string) =>
    folder.startsWith('/nix/store/') ? folder : `path-${await fingerprint(folder)}`

  const read = async () => {
    try {
      const folder = await realpath(directory)
      await access(join(folder, 'default.nix'), constants.R_OK)
      const revision = await revisionOf(folder)
      const unchanged = () =>
        revisionOf(folder).then(
          (now) => now === revision,
          () => false,
        )
      return { set: { folder }, revision, unchanged }
    } catch (error) {
      throw new NixeryError(
        'SOURCE_INVALID',
        'there is no package set: its folder or its default.nix cannot be read',
        {
          cause: error,
          hint: 'the operator must point NIXERY_PKGS_PATH to a folder with a default.nix',
        },
      )
    }
  }

  let latest: { at: number; pinned: ReturnType<typeof read> } | undefined
  return {
    description: `the package set in ${directory}`,
    tags: () => Promise.resolve(['latest']),
    pin(tag) {
      if (tags === 'latest' && tag !== 'latest') {
        const message = 'this package set has no tags: only "latest" exists'
        return Promise.reject(new NixeryError('MANIFEST_UNKNOWN', message))
      }
      if (!latest || performance.now() - latest.at > ttl) {
        const fresh = { at: performance.now(), pinned: read() }
        latest = fresh
        fresh.pinned.catch(() => {
          if (latest === fresh) latest = undefined // what is mended is seen at once
        })
      }
      return latest.pinned
    },
  }
}
