import { followLinks } from '../../contents/follow-links.ts'
import type { StorePath } from '../../image/store-path.ts'
import { storePathsOf } from '../closure.ts'
import { findFirst, isProgram } from '../find.ts'
import { nodeAt, put } from '../tree.ts'
import type { Node, Work } from '../work.ts'
import { nixConf } from './conf.ts'
import { nixDatabase, nixSchemaVersion } from './database.ts'

const state = '/nix/var/nix'

/**
 * Makes Nix work in the image, if the closure contains it, whether requested or as a dependency, or if a recipe says so.
 * Without the database Nix would not know the valid paths: it would build them again, and its garbage collector would
 * delete the container's programs.
 */
export async function addNix(work: Work): Promise<void> {
  // All versions of Nix and Lix have the program nix-store.
  const isWanted = work.extra?.nixDatabase
  if (isWanted === false) return
  const hasNix = (await findFirst(work, ['bin/nix-store'], isProgram(work))) !== undefined
  if (!hasNix && isWanted !== true) return
  if (hasNix) await put(work, '/etc/nix/nix.conf', file(nixConf(await shellOf(work))))
  await put(work, `${state}/db/db.sqlite`, file(nixDatabase(work.closure)))
  // Without a line end, because Nix reads the file as a number.
  await put(work, `${state}/db/schema`, file(String(nixSchemaVersion)))
  // Nix creates this link only together with the folder.
  await put(work, `${state}/gcroots/profiles`, { kind: 'link', target: `${state}/profiles` })
  await put(work, `${state}/profiles`, { kind: 'directory', children: new Map() })
  for (const path of unreferenced(work)) {
    await put(work, `${state}/gcroots/nixery/${path.slice(work.store.length + 1)}`, {
      kind: 'link',
      target: path,
    })
  }
}

const file = (content: string | Buffer): Node => ({ kind: 'file', bytes: Buffer.from(content), mode: 0o644 })

/** The paths that no other path refers to, which keep all others alive. */
function unreferenced({ closure }: Work): StorePath[] {
  const needed = new Set(
    closure.flatMap(({ storePath, references }) => references.filter((path) => path !== storePath)),
  )
  return closure.map(({ storePath }) => storePath).filter((path) => !needed.has(path))
}

/** The real path of `/bin/sh`, and its closure; undefined if there is none. */
async function shellOf(work: Work): Promise<{ program: string; needs: StorePath[] } | undefined> {
  const node = await nodeAt(work, '/bin/sh')
  if (node?.kind !== 'link') return undefined
  const program = (await followLinks(work.listings, node.target, work.store))?.path
  if (program === undefined) return undefined
  const own = work.closure.find(({ storePath }) => program.startsWith(`${storePath}/`))
  return own && { program, needs: storePathsOf(work.closure, own.storePath) }
}
