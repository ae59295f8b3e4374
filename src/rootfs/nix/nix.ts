import { follow } from '../../contents/follow.ts'
import type { StorePath } from '../../image/store-path.ts'
import { storePathsOf } from '../closure.ts'
import { findFirst, isProgram } from '../find.ts'
import { nodeAt, put } from '../tree.ts'
import type { Node, Work } from '../work.ts'
import { nixConf } from './conf.ts'
import { nixDatabase, nixSchemaVersion } from './database.ts'

const state = '/nix/var/nix'

/**
 * Makes the Nix of an image work, where the closure has one: nobody else tells it which paths are valid, so it would
 * build them again, and its garbage collector would delete the container's programs. Whether it is named or only
 * needed by something else does not count: either way it finds this store. A recipe may say otherwise.
 */
export async function addNix(work: Work): Promise<void> {
  // By what is in it, and not by a name: Nix and Lix of whatever version have this.
  const isWanted = work.extra?.nixDatabase
  if (isWanted === false) return
  const hasNix = (await findFirst(work, ['bin/nix-store'], isProgram(work))) !== undefined
  if (!hasNix && isWanted !== true) return
  if (hasNix) await put(work, '/etc/nix/nix.conf', file(nixConf(await shellOf(work))))
  await put(work, `${state}/db/db.sqlite`, file(nixDatabase(work.closure)))
  // No line ends here: Nix reads the file as a number.
  await put(work, `${state}/db/schema`, file(String(nixSchemaVersion)))
  // Nix makes this link only together with the folder.
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

/** The paths that keep all others alive: those that no other one refers to. */
function unreferenced({ closure }: Work): StorePath[] {
  const needed = new Set(
    closure.flatMap(({ storePath, references }) => references.filter((path) => path !== storePath)),
  )
  return closure.map(({ storePath }) => storePath).filter((path) => !needed.has(path))
}

/** What `/bin/sh` is, links followed, and the store paths that it needs; undefined where there is none. */
async function shellOf(work: Work): Promise<{ program: string; needs: StorePath[] } | undefined> {
  const node = await nodeAt(work, '/bin/sh')
  if (node?.kind !== 'link') return undefined
  const program = (await follow(work.listings, node.target, work.store))?.path
  if (program === undefined) return undefined
  const own = work.closure.find(({ storePath }) => program.startsWith(`${storePath}/`))
  return own && { program, needs: storePathsOf(work.closure, own.storePath) }
}
