import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { fromSuite } from './suite.ts'

/** A folder to put first on PATH, or why there is none. */
export type SecondNix = { readonly bin: string; readonly version: string } | { readonly missing: string }

/**
 * The Nix of another release of Debian, beside the system's: unpacked into the user's cache folder, nothing
 * installed. It works on the same /nix. Safe to repeat; what is there and runs is taken as it is.
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

/** Gives Nix's programs a folder of their own. */
async function wrap(tree: string, folder: string): Promise<void> {
  await mkdir(join(tree, 'bin'))
  for (const name of await readdir(join(tree, 'usr/bin'))) {
    if (!/^nix(-|$)/.test(name)) continue
    const script = join(tree, 'bin', name)
    await writeFile(script, wrapper(join(folder, 'usr/bin', name)))
    await chmod(script, 0o755)
  }
}

/** Debian builds Nix with a sandbox shell that is installed beside it: not on this machine, so without. */
const wrapper = (program: string) => `#!/bin/sh
NIX_CONFIG="sandbox-paths =
$NIX_CONFIG" exec '${program}' "$@"
`
