import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { fromSuite } from './suite.ts'

/** A folder to prepend to PATH, or why there is none. */
export type SecondNix = { readonly bin: string; readonly version: string } | { readonly missing: string }

/**
 * The Nix of another Debian release, unpacked into the user's cache folder without installing anything. It uses the same
 * /nix. Safe to repeat: an unpacked Nix that runs is reused.
 */
export async function secondNix(suite: 'trixie' | 'sid'): Promise<SecondNix> {
  let version: string | undefined
  const found = await fromSuite({
    suite,
    name: 'nix',
    packages: ['nix-bin'],
    programs: ['usr/bin/nix'],
    finish: wrap,
    async works(folder) {
      version = await versionOf(join(folder, 'bin'))
      return version !== undefined
    },
  })
  if ('missing' in found) return found
  return { bin: join(found.folder, 'bin'), version: version ?? '' }
}

const versionOf = async (bin: string): Promise<string | undefined> => {
  const { failed, stdout } = await execa(join(bin, 'nix-store'), ['--version'], { reject: false })
  return failed ? undefined : stdout.replace(/^.*\) /, '')
}

/** Makes wrappers of Nix's programs in `bin`. */
async function wrap(tree: string, folder: string): Promise<void> {
  await mkdir(join(tree, 'bin'))
  for (const name of await readdir(join(tree, 'usr/bin'))) {
    if (!/^nix(-|$)/.test(name)) continue
    const script = join(tree, 'bin', name)
    await writeFile(script, wrapper(join(folder, 'usr/bin', name)))
    await chmod(script, 0o755)
  }
}

/** Debian's Nix uses a sandbox shell from another package, which is not unpacked; so the wrapper disables it. */
const wrapper = (program: string) => `#!/bin/sh
NIX_CONFIG="sandbox-paths =
$NIX_CONFIG" exec '${program}' "$@"
`
