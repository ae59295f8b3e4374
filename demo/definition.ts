/** How a store path is made from Debian packages, if it is not simply one of them. */
export type UnitDefinition = {
  /** The Debian packages; the first determines version and description. Default: the one of the unit's name. */
  debs?: string[]
  /** The name in nixpkgs. Default: the unit's name. */
  pname?: string
  mainProgram?: string
  /** The first is the default one. `bin`, `man` and `doc` take bin, share/man and share/doc. Default: all in `out`. */
  outputs?: ('out' | 'bin' | 'man' | 'doc')[]
  /** Ignores Debian's Depends, because the package in nixpkgs has no references. */
  ignoresDepends?: boolean
  /** Prefixes of paths (in the store path's layout) to omit. */
  without?: string[]
  /** Symbolic links to add: path → target as written. */
  links?: Record<string, string>
  /** Programs that get a wrapper which sets these variables. `@unit@` and `@out@` are replaced by store paths. */
  wrappers?: Record<string, Record<string, string>>
  /** C strings in its binaries to overwrite with others that are not longer; in
   * all binaries, or in those with a prefix. */
  overwrites?: { text: string; by: string; inFilesNamed?: string }[]
  /** Folders in the code of a library, and longer ones to search instead. */
  repoints?: { library: string; text: string; by: string }[]
  /** `meta.priority`, as in nixpkgs: if packages have a program with the same name, the lower number wins. Default: 5. */
  priority?: number
  /** The SPDX identifier of the license, if there is one. */
  license?: string
  /** Files to add: path → name of a file in nix/. */
  files?: Record<string, string>
  /** Shell text for everything else; runs in `$out` at the end. */
  finish?: string
  /** The name of the store path. Default: `<pname>-<version>`. */
  storeName?: string
  /** A folder that becomes the store path. */
  onlyFolder?: string
}
