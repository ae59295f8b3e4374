import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Writes a package set with all packages of the demo set and one more, `everything`, that depends on all others: about
 * 250 store paths and 520 MB, more than 30 packages in one name. It excludes the program itself, because that is built
 * from this checkout, which takes minutes.
 * @param demo the folder of the demo set
 */
export async function writeEverything(folder: string, demo: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(
    join(folder, 'default.nix'),
    `{ system ? builtins.currentSystem, ... }@args:
let
  demo = import ${demo} args;
  outputs = value:
    if value.type or "" == "derivation" then map (output: value.\${output}) value.outputs
    else if builtins.isAttrs value then builtins.concatMap outputs (builtins.attrValues value)
    else [ ];
in
demo // {
  everything = derivation {
    name = "everything";
    inherit system;
    builder = "\${demo.bash}/bin/sh";
    # Ends in a builtin, because Nix 2.8 loses some builders that end in a program.
    args = [ "-c" "echo $packages > $out" ];
    packages = outputs (builtins.removeAttrs demo [ "nixery" ]);
  };
}
`,
  )
}
