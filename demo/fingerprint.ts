import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { byText } from '../src/image/store-path.ts'
import { pinnedNodePackages } from './node-package.ts'
import type { DebianArchitecture } from './layout.ts'

/**
 * A hash of everything that determines a set, except Debian's packages: the generator's sources, the versions that it
 * pins, and the architecture of the host.
 */
export async function fingerprintGenerator(host: DebianArchitecture): Promise<string> {
  const folders = [new URL('./', import.meta.url), new URL('nix/', import.meta.url)]
  const files = await Promise.all(
    folders.map(async (folder) => {
      const entries = await readdir(folder, { withFileTypes: true })
      const names = entries
        .filter((entry) => entry.isFile() && isSource(entry.name))
        .map((entry) => entry.name)
      return Promise.all(
        names.map(async (name) => ({ name, content: await readFile(new URL(name, folder), 'utf8') })),
      )
    }),
  )
  const pinned = {
    name: 'pinned',
    content: JSON.stringify([host, await pinnedNodePackages(['amd64', 'arm64'])]),
  }
  return fingerprint([...files.flat(), pinned])
}

// Programs that only use the generator, and the program package, which has its own record.
const programs = new Set(['make.ts', 'run.ts', 'program.ts'])

const isSource = (name: string): boolean =>
  /\.(ts|nix|sh|py)$/.test(name) && !name.endsWith('.test.ts') && !programs.has(name)

/** A hash of named texts that does not depend on their order. */
export function fingerprint(files: readonly { name: string; content: string }[]): string {
  const sorted = files.map(({ name, content }) => [name, content]).sort(([a = ''], [b = '']) => byText(a, b))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
}
