import { follow } from '../contents/follow.ts'
import { childrenOf, placeFor } from './tree.ts'
import type { Work } from './work.ts'

/** The files that programs expect of a system, where no package brings them. */
const files: readonly [path: string, text: string][] = [
  ['/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/false\n'],
  ['/etc/group', 'root:x:0:\nnobody:x:65534:\n'],
  [
    '/etc/nsswitch.conf',
    'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  ],
]

const folders: readonly [path: string, mode: number][] = [
  ['/root', 0o700],
  ['/tmp', 0o1777],
  ['/var/empty', 0o555],
  ['/var/tmp', 0o1777],
]

/** Programs that scripts name by these very paths. */
const programs: readonly [path: string, program: string][] = [
  ['/bin/sh', 'bin/sh'],
  ['/usr/bin/env', 'bin/env'],
]

/**
 * Adds to the tree what makes it look like a system: accounts, temporary folders, `/bin/sh` and `/usr/bin/env`.
 * What a package brings is kept, but for the modes of temporary folders.
 */
export async function addEssentials(work: Work): Promise<void> {
  for (const [path, text] of files) {
    const place = await placeFor(work, path)
    if (!place || place.parent.has(place.name)) continue
    place.parent.set(place.name, { kind: 'file', bytes: Buffer.from(text), mode: 0o644 })
  }
  for (const [path, mode] of folders) {
    const place = await placeFor(work, path)
    const existing = place?.parent.get(place.name)
    const children = existing && (await childrenOf(work, existing))
    place?.parent.set(place.name, { kind: 'directory', mode, children: children ?? new Map() })
  }
  for (const [path, program] of programs) {
    const place = await placeFor(work, path)
    if (!place || place.parent.has(place.name)) continue
    const target = await findProgram(work, program)
    if (target) place.parent.set(place.name, { kind: 'link', target })
  }
}

/**
 * The first path that has this program, for this platform: the requested packages first, then what they need. A script
 * runs wherever its interpreter does.
 */
async function findProgram(
  { packages, closure, listings, store, platform }: Work,
  program: string,
): Promise<string | undefined> {
  for (const storePath of [...packages, ...closure.map((one) => one.storePath)]) {
    const path = `${storePath}/${program}`
    const found = (await follow(listings, path, store))?.found
    if (found?.kind !== 'file') continue
    if (found.program === 'script' || found.program === platform.architecture) return path
  }
  return undefined
}
