import { execa } from 'execa'
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { architectures, type DebianArchitecture } from './layout.ts'

/** The Debian packages of the build tools: a static busybox, and patchelf with its libraries. */
export const seedDebs = ['busybox-static', 'patchelf', 'libc6', 'libstdc++6', 'libgcc-s1']

const programs = { busybox: 'bin/busybox', patchelf: 'usr/bin/patchelf' }
const libraries = ['libc.so.6', 'libm.so.6', 'libstdc++.so.6', 'libgcc_s.so.1']

/**
 * Fills `folder` with the seed: plain files without links, with the names that nix/builder.sh expects. `debs` are the paths
 * of at least `seedDebs`; `folder` must not exist.
 */
export async function makeSeed(
  folder: string,
  debs: ReadonlyMap<string, string>,
  architecture: DebianArchitecture,
): Promise<void> {
  const { triplet, dynamicLinker } = architectures[architecture]
  const scratch = await mkdtemp(`${folder}-`)
  try {
    for (const name of seedDebs) {
      await execa('dpkg-deb', ['--extract', debs.get(name) ?? name, join(scratch, name)])
    }
    const roots = await readdir(scratch)
    const find = async (...candidates: string[]): Promise<string> => {
      for (const root of roots) {
        for (const candidate of candidates) {
          const found = await realpath(join(scratch, root, candidate)).catch(() => undefined)
          if (found !== undefined) return found
        }
      }
      throw new Error(`no ${candidates.join(' or ')} in ${seedDebs.join(', ')}`)
    }
    await mkdir(folder)
    const library = (name: string): Promise<string> =>
      find(`lib/${triplet}/${name}`, `usr/lib/${triplet}/${name}`)
    for (const name of libraries) await copyFile(await library(name), join(folder, name))
    await copyFile(await library(dynamicLinker), join(folder, 'ld.so'))
    for (const [name, path] of Object.entries(programs)) await cp(await find(path), join(folder, name))
    for (const name of await readdir(folder)) await chmod(join(folder, name), 0o755)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
