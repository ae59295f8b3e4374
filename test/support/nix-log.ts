import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

/** Records which Nix programs are started. */
export type NixLog = {
  /** A folder to prepend to PATH. */
  readonly folder: string
  /** The programs started since the last call, with their first argument. */
  started(): Promise<string[]>
  close(): Promise<void>
}

/** Makes wrappers of Nix's programs that append a line to a file and then exec the real program. */
export async function openNixLog(): Promise<NixLog> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-log-'))
  const file = join(folder, 'log')
  await writeFile(file, '')
  let read = 0
  for (const program of ['nix', 'nix-store', 'nix-instantiate']) {
    const { stdout } = await execa('which', [program])
    const script = join(folder, program)
    await writeFile(script, `#!/bin/sh\necho "${program} $1" >> '${file}'\nexec ${stdout.trim()} "$@"\n`)
    await chmod(script, 0o755)
  }
  return {
    folder,
    async started() {
      const text = await readFile(file, 'utf8')
      const since = text.slice(read)
      read = text.length
      return since.split('\n').filter((line) => line !== '')
    },
    close: () => rm(folder, { recursive: true }),
  }
}
