import { dirname } from 'node:path'
import { followLinks } from '../../contents/follow-links.ts'
import { directoryAt, nodeAt, put } from '../tree.ts'
import type { Work } from '../work.ts'

/**
 * Makes `/bin/python3` and `/usr/bin/python3` find the modules in `/lib/python3.11/site-packages`: `/` and `/usr` become
 * virtual environments (PEP 405). A variable would also affect Python programs of the store, which can have modules of
 * other versions; they start their interpreter in the store, so virtual environments do not affect them.
 */
export async function addVirtualEnvironments(work: Work, versions: readonly string[]): Promise<void> {
  const home = await homeOf(work)
  if (home === undefined) return
  if (work.base && (await hasOwnPython(work))) {
    work.warn('the base has its own Python: only the python3 in the Nix store finds the modules')
    return
  }
  const text = `home = ${home}\ninclude-system-site-packages = true\n`
  for (const prefix of ['', '/usr']) {
    await put(work, `${prefix}/pyvenv.cfg`, { kind: 'file', bytes: Buffer.from(text, 'latin1'), mode: 0o644 })
  }
  for (const version of versions) {
    await put(work, `/usr/lib/python${version}`, { kind: 'link', target: `/lib/python${version}` })
  }
}

/** Whether the base has a Python in `/usr/bin`, which would take the files of a virtual environment for its own. */
async function hasOwnPython(work: Work): Promise<boolean> {
  const programs = await directoryAt(work, '/usr/bin')
  return [...programs].some(([name, node]) => node.kind === 'base' && /^python3(\.\d+)?$/.test(name))
}

/** The store folder of the image's `python3`, from which it finds its library. */
async function homeOf(work: Work): Promise<string | undefined> {
  const node = await nodeAt(work, '/bin/python3')
  if (node?.kind !== 'link') return undefined
  const program = await followLinks(work.listings, node.target, work.store)
  return program && dirname(program.path)
}
