import { follow } from '../../contents/follow.ts'
import type { StorePath } from '../../image/store-path.ts'
import type { Work } from '../work.ts'

/**
 * A language whose modules are store paths of their own. Folders are those of nixpkgs, relative to a store path; `*`
 * stands for a version, as in `lib/python*` for `lib/python3.11`.
 */
export type Language = {
  readonly name: string
  /** The interpreter, in `bin`. */
  readonly program: string
  /** A folder that the interpreter has, named after its version; not given where modules are for all versions. */
  readonly own?: string
  /** Where modules lie. */
  readonly modules: string
  /** What tells the interpreter where modules are. Each version has its own folder, so only those see them that can. */
  readonly variable?: { readonly name: string; readonly value: string }
}

export const languages: readonly Language[] = [
  // Told by files: a variable would reach programs of the store that have modules of their own.
  { name: 'Python', program: 'python3', own: 'lib/python*', modules: 'lib/python*/site-packages' },
  {
    name: 'Perl',
    program: 'perl',
    own: 'lib/perl5/*',
    modules: 'lib/perl5/site_perl/*',
    // Perl itself looks in the folder of its version there (perlrun, "PERL5LIB").
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

/** A folder or variable of a version. */
export const ofVersion = (pattern: string, version: string): string => pattern.replace('*', version)

/** The versions for which a store path has a folder; that without a version is the empty one. */
export async function versionsIn(
  { listings, store }: Pick<Work, 'listings' | 'store'>,
  storePath: StorePath,
  pattern: string,
): Promise<string[]> {
  const isDirectory = async (path: string) =>
    (await follow(listings, path, store))?.found.kind === 'directory'
  const [before = '', after] = pattern.split('*')
  if (after === undefined) return (await isDirectory(`${storePath}/${pattern}`)) ? [''] : []
  const end = before.lastIndexOf('/')
  const prefix = before.slice(end + 1)
  const folder = await follow(listings, `${storePath}/${before.slice(0, end)}`, store)
  if (folder?.found.kind !== 'directory') return []
  const versions: string[] = []
  for (const name of (await listings.list(folder.path)).sort()) {
    const version = name.slice(prefix.length)
    if (!name.startsWith(prefix) || !/^\d+(?:\.\d+)+$/.test(version)) continue
    if (await isDirectory(`${storePath}/${ofVersion(pattern, version)}`)) versions.push(version)
  }
  return versions
}

/** Those of the named packages that are the language's interpreter. */
export async function interpretersIn(
  { packages, listings, store }: Pick<Work, 'packages' | 'listings' | 'store'>,
  { program }: Language,
): Promise<StorePath[]> {
  const found: StorePath[] = []
  for (const path of packages) {
    const place = await follow(listings, `${path}/bin/${program}`, store)
    if (place?.found.kind === 'file' && place.found.program !== undefined) found.push(path)
  }
  return found
}
