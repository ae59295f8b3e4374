import { findFirst } from './find.ts'
import { addLoader, type Libc } from './loader.ts'
import { nodeAt, put } from './tree.ts'
import type { Work } from './work.ts'

/**
 * The environment variables of every image. `PATH` is Docker's, so that programs in `/usr/local/bin` come first. The
 * runtime sets `HOME`, because it knows the user.
 */
export const environment: readonly string[] = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
  // Programs of nixpkgs read this one first.
  'NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
]

/** Adds time zones if any store path has them. A folder with `UTC` is that of tzdata. */
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
 * Adds terminal descriptions to those of ncurses itself: those of all linked packages, or of the first store path with
 * any.
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

/** Adds the loader of the libc, and `LANG`. */
export async function addLibc(work: Work): Promise<void> {
  const [libc] = await addLoader(work)
  if (libc && (await hasUtf8(work, libc))) work.env.set('LANG', 'C.UTF-8')
}

/** Where glibc has `C.UTF-8`: in a separate folder since 2.35, or in the archive of nixpkgs. */
const locales = ['lib/locale/C.utf8', 'lib/locale/C.UTF-8', 'lib/locale/locale-archive']

/** Whether a libc supports `C.UTF-8`. musl supports nothing else. */
async function hasUtf8({ listings }: Work, { kind, storePath }: Libc): Promise<boolean> {
  if (kind === 'musl') return true
  const entries = await Promise.all(locales.map((path) => listings.look(`${storePath}/${path}`)))
  return entries.some((one) => one !== undefined)
}
