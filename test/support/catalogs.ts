import { readdir } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Catalog } from '../../src/catalog/catalog.ts'
import { openSqliteCatalog } from '../../src/catalog/sqlite.ts'
import { digestOf } from '../../src/image/digest.ts'
import type { Layer } from '../../src/image/oci.ts'
import { parseStorePath, type PathFacts } from '../../src/image/store-path.ts'
import { testKey } from '../../src/catalog/keys-testing.ts'

/** Milliseconds for which a catalog leaves a database alone that failed. */
export const pause = 50
const busyTimeout = 20

/** Opens a catalog as a process of its own would, with what it warns of. */
export async function openFile(file: string) {
  const warnings: string[] = []
  const warn = (line: string) => warnings.push(line)
  return { catalog: await openSqliteCatalog(file, { warn, busyTimeout, pause }), warnings }
}

export const layer = (text: string): Layer => ({
  digest: digestOf(text),
  diffId: digestOf(`${text}, unpacked`),
  size: 7,
  compression: 'gzip',
})

export const facts = (index: number, narHash = 'sha256-a'): PathFacts => ({
  storePath: parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p`),
  narHash,
  narSize: 1,
  references: [],
})

/** The hash that a catalog knows of `facts(index)`. */
export async function factsOf(catalog: Catalog, index: number): Promise<string | undefined> {
  const { storePath } = facts(index)
  return (await catalog.pathFacts([storePath])).get(storePath)?.narHash
}

/** Remembers layers, blobs and facts: `layer N` is `layer('N')`. */
export async function fill(catalog: Catalog, count = 300): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await catalog.rememberLayer(testKey(`layer ${index}`), layer(`${index}`), [])
    await catalog.rememberBlob(digestOf(`${index}`), 7)
  }
  await catalog.rememberPathFacts(Array.from({ length: count }, (_, index) => facts(index)))
}

/** The files of databases that were moved away. */
export async function setAsideOf(file: string): Promise<string[]> {
  const names = await readdir(dirname(file))
  return names.filter((name) => name.startsWith(`${basename(file)}.damaged-`))
}
