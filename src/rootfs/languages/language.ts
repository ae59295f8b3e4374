import { followLinks } from '../../contents/follow-links.ts'
import type { StorePath } from '../../image/store-path.ts'
import type { Work } from '../work.ts'

/**
 * A language whose modules are separate store paths. Folders are those of nixpkgs, relative to a store path; `*` stands
 * for a version: `lib/python*` is `lib/python3.11`.
 */
export type Language = {
  readonly name: string
  /** The interpreter, in `bin`. */
  readonly program: string
  /** A folder of the interpreter with its version in the name; undefined if modules work with all versions. */
  readonly own?: string
  /** The folder of modules. */
  readonly modules: string
  /** The variable with the search path for modules. Each version has its own folder, so others do not see them. */
  readonly variable?: { readonly name: string; readonly value: string }
}

export const languages: readonly Language[] = [
  // Configured by files: a variable would also affect programs of the store with their own modules.
  { name: 'Python', program: 'python3', own: 'lib/python*', modules: 'lib/python*/site-packages' },
  {
    name: 'Perl',
    program: 'perl',
    own: 'lib/perl5/*',
    modules: 'lib/perl5/site_perl/*',
    // Perl adds the folder of its version itself (perlrun, "PERL5LIB").
    variable: { name: 'PERL5LIB', value: '/lib/perl5/site_perl' },
  },
  {
    name: 'Ruby',
    program: 'ruby',
    own: 'lib/ruby/*',
    modules: 'lib/ruby/gems/*',
    variable: { name: 'GEM_PATH', value: '/lib/ruby/gems/*' },
  },
  {
    name: 'Node.js',
    program: 'node',
    modules: 'lib/node_modules',
    variable: { name: 'NODE_PATH', value: '/lib/node_modules' },
  },
  {
    name: 'R',
    program: 'R',
    modules: 'library',
    variable: { name: 'R_LIBS_SITE', value: '/library' },
  },
]

/** Replaces `*` in a pattern by a version. */
export const ofVersion = (pattern: string, version: string): string => pattern.replace('*', version)

/** The versions for which a store path has the folder; '' for a pattern without a version. */
export async function versionsIn(
  { listings, store }: Pick<Work, 'listings' | 'store'>,
  storePath: StorePath,
  pattern: string,
): Promise<string[]> {
  const isDirectory = async (path: string) =>
    (await followLinks(listings, path, store))?.found.kind === 'directory'
  const [before = '', after] = pattern.split('*')
  if (after === undefined) return (await isDirectory(`${storePath}/${pattern}`)) ? [''] : []
  const end = before.lastIndexOf('/')
  const prefix = before.slice(end + 1)
  const folder = await followLinks(listings, `${storePath}/${before.slice(0, end)}`, store)
  if (folder?.found.kind !== 'directory') return []
  const versions: string[] = []
  for (const name of (await listings.list(folder.path)).sort()) {
    const version = name.slice(prefix.length)
    if (!name.startsWith(prefix) || !/^\d+(?:\.\d+)+$/.test(version)) continue
    if (await isDirectory(`${storePath}/${ofVersion(pattern, version)}`)) versions.push(version)
  }
  return versions
}

/** The requested packages that contain the language's interpreter. */
export async function interpretersIn(
  { packages, listings, store }: Pick<Work, 'packages' | 'listings' | 'store'>,
  { program }: Language,
): Promise<StorePath[]> {
  const interpreters: StorePath[] = []
  for (const path of packages) {
    const place = await followLinks(listings, `${path}/bin/${program}`, store)
    if (place?.found.kind === 'file' && place.found.program !== undefined) interpreters.push(path)
  }
  return interpreters
}
