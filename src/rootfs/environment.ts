import { findFirst } from './find.ts'
import { addLoader, type Libc } from './loader.ts'
import { nodeAt, put } from './tree.ts'
import type { Work } from './work.ts'

/**
 * Variables that a container of every image starts with. `PATH` is Docker's own, so that what is copied to
 * `/usr/local/bin` is found, and found first. `HOME` is for the runtime to set: it knows the user.
 */
export const environment: readonly string[] = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
  // Programs of nixpkgs look here first.
  'NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
]

/** Time zones, where any store path has them: what has `UTC` in it is one of tzdata, and not another's idea of it. */
export async function addTimeZones(work: Work): Promise<void> {
  const { listings } = work
  const found = await findFirst(work, ['share/zoneinfo'], async ({ path, found: { kind } }) => {
    return kind === 'directory' && (await listings.look(`${path}/UTC`)) !== undefined
  })
  if (!found) return
  for (const path of ['/usr/share/zoneinfo', '/etc/zoneinfo']) {
    await put(work, path, { kind: 'link', target: found.path })
  }
  work.env.set('TZDIR', '/usr/share/zoneinfo')
}

/**
 * Descriptions of terminals beside those that ncurses finds by itself, its own: those of all linked packages, laid over
 * one another, or else those of the first store path that has any.
 */
export async function addTerminals(work: Work): Promise<void> {
  const linked = await nodeAt(work, '/share/terminfo')
  const isFolder = linked?.kind === 'directory'
  const target =
    linked?.kind === 'link'
      ? linked.target
      : (await findFirst(work, ['share/terminfo', 'lib/terminfo'], ({ found }) => found.kind === 'directory'))
          ?.path
  if (!isFolder && target === undefined) return
  const node = isFolder
    ? ({ kind: 'alias', at: '/share/terminfo', target: '../../share/terminfo' } as const)
    : ({ kind: 'link', target: target ?? '' } as const)
  await put(work, '/usr/share/terminfo', node)
  work.env.set('TERMINFO_DIRS', '/usr/share/terminfo')
}

/** Loader and language: both are the libc's. */
export async function addLibc(work: Work): Promise<void> {
  const [libc] = await addLoader(work)
  if (libc && (await hasUtf8(work, libc))) work.env.set('LANG', 'C.UTF-8')
}

/** Where glibc has `C.UTF-8`, if it has: a folder of its own since 2.35, or the archive of nixpkgs'. */
const locales = ['lib/locale/C.utf8', 'lib/locale/C.UTF-8', 'lib/locale/locale-archive']

/** Whether programs of a libc know `C.UTF-8`. musl knows nothing else. */
async function hasUtf8({ listings }: Work, { kind, storePath }: Libc): Promise<boolean> {
  if (kind === 'musl') return true
  const found = await Promise.all(locales.map((path) => listings.look(`${storePath}/${path}`)))
  return found.some((one) => one !== undefined)
}
