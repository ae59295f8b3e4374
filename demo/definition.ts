/** How a store path is made of Debian packages, where it is not simply one of them. */
export type UnitDefinition = {
  /** The Debian packages, the one that gives version and description first. Default: the one of the unit's name. */
  debs?: string[]
  /** nixpkgs' name for it. Default: the unit's name. */
  pname?: string
  mainProgram?: string
  /** The first is the default one. `bin`, `man` and `doc` take bin, share/man and share/doc. Default: all in `out`. */
  outputs?: ('out' | 'bin' | 'man' | 'doc')[]
  /** Debian's Depends are no references here, because nixpkgs' counterpart has none. */
  ignoresDepends?: boolean
  /** Beginnings of paths (in the store path's layout) that are left out. */
  without?: string[]
  /** Symbolic links to add: path → target as written. */
  links?: Record<string, string>
  /** Programs to start through a wrapper that sets these variables. `@unit@` and `@out@` stand for store paths. */
  wrappers?: Record<string, Record<string, string>>
  /** Texts inside its binaries (whole, as C strings) that are overwritten by others which are not longer; in
   * all, or in those whose names begin so. */
  overwrites?: { text: string; by: string; inFilesNamed?: string }[]
  /** Folders that stand in the code of a library, and the longer ones that it is to look in instead. */
  repoints?: { library: string; text: string; by: string }[]
  /** As nixpkgs has it: of programs with one name, that of the package with the lower number is in an image. Default: 5. */
  priority?: number
  /** The SPDX identifier of the license, where it is one. */
  license?: string
  /** Files to add: path → name of a file in nix/. */
  files?: Record<string, string>
  /** Shell text for what no other field can say; runs in `$out` at the end. */
  finish?: string
  /** The name of the store path. Default: `<pname>-<version>`. */
  storeName?: string
  /** A folder that becomes the whole of the store path. */
  onlyFolder?: string
}
