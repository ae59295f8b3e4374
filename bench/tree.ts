import { mkdirSync, writeFileSync } from 'node:fs'
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { systemErrorCode } from '../src/errors.ts'

/** The size of a tree. */
export type TreeSize = {
  /** Package names. */
  readonly names: number
  /** Files, directories and links together: at least two per name. */
  readonly entries: number
}

/** The size of nixpkgs in 2026. */
export const nixpkgsSize: TreeSize = { names: 27_000, entries: 90_000 }

/** Incremented when the tree of the same size changes. */
const version = 1

/**
 * A package set with the size and shape of nixpkgs, written once and kept in the user's cache folder. The same size always
 * gives the same tree. Packages need only `/bin/sh`; `nameOf` gives their names.
 * @returns its folder
 */
export async function ensureTree(
  size: TreeSize,
  cache = join(homedir(), '.cache', 'nixery'),
): Promise<string> {
  const folder = join(cache, `bench-tree-${version}-${size.names}-${size.entries}`)
  const isThere = await access(folder).then(
    () => true,
    () => false,
  )
  if (isThere) return folder
  const unfinished = `${folder}.${process.pid}`
  await mkdir(dirname(folder), { recursive: true })
  await rm(unfinished, { recursive: true, force: true })
  await writeTree(unfinished, size)
  await rename(unfinished, folder).catch(async (error: unknown) => {
    // Another process was faster, and its tree is equal.
    if (systemErrorCode(error) !== 'ENOTEMPTY' && systemErrorCode(error) !== 'EEXIST') throw error
    await rm(unfinished, { recursive: true })
  })
  return folder
}

/** The name of a package: `aa-0`, `ab-1`, …, spread over the shards of `pkgs/by-name`. */
export function nameOf(index: number): string {
  const letter = (at: number) => String.fromCharCode(97 + (at % 26))
  return `${letter(index)}${letter(Math.floor(index / 26))}-${index}`
}

/** Creates a folder and writes the tree into it. */
export async function writeTree(folder: string, { names, entries }: TreeSize): Promise<void> {
  let count = 0
  const made = new Set<string>()
  const makeFolder = (path: string) => {
    if (path === '.' || made.has(path)) return
    makeFolder(dirname(path))
    mkdirSync(join(folder, path))
    made.add(path)
    count += 1
  }
  const write = (path: string, text: string) => {
    makeFolder(dirname(path))
    writeFileSync(join(folder, path), text)
    count += 1
  }
  await mkdir(folder)
  await writeFile(join(folder, 'default.nix'), defaultNix)
  count += 1
  for (let index = 0; index < names; index++) {
    const name = nameOf(index)
    write(`pkgs/by-name/${name.slice(0, 2)}/${name}/package.nix`, packageNix(name, index))
  }
  // The rest of nixpkgs: patches, modules, tests, documentation.
  for (let index = 0; index < entries; index++) {
    if (count >= entries) break
    const path = `nixos/modules/${index % 40}/${Math.floor(index / 40) % 25}/module-${index}.nix`
    write(path, moduleNix(index))
  }
}

// Like nixpkgs: evaluating the set reads all shards, but a package only when it is needed.
const defaultNix = `{ system, config ? { }, overlays ? [ ], ... }:
let
  inherit (builtins) attrNames concatMap listToAttrs readDir;
  root = ./pkgs/by-name;
  files = listToAttrs (concatMap
    (shard: map (name: { inherit name; value = root + "/\${shard}/\${name}/package.nix"; })
      (attrNames (readDir (root + "/\${shard}"))))
    (attrNames (readDir root)));
  callPackage = file: import file { inherit system make; };
  make = args: derivation ({
    inherit system;
    builder = "/bin/sh";
    args = [ "-c" "export PATH=/usr/bin:/bin; mkdir -p $out/bin; echo $name > $out/bin/$name; :" ];
  } // args);
in builtins.mapAttrs (_: callPackage) files
`

const packageNix = (name: string, index: number) => `{ make, ... }:

make {
  pname = "${name}";
  version = "1.${index % 50}.${index % 7}";
  name = "${name}-1.${index % 50}.${index % 7}";
  # ${'About this package there is as much to say as about most of them. '.repeat(4 + (index % 17))}
}
`

const moduleNix = (index: number) => `{ config, lib, ... }:
# ${'An option is described in a sentence, and has a type and a default. '.repeat(5 + (index % 40))}
{ options.services.number${index}.enable = lib.mkEnableOption "number ${index}"; }
`
