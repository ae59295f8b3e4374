# Packages with unusual properties, taken from public bug reports, in addition to those of another set. Builders use the
# machine's /bin/sh. The test cases are in cases/odd.ts.
demo: { system ? builtins.currentSystem, ... }@arguments:
let
  make = name: script: extra: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-c" ("set -e; export PATH=/bin:/usr/bin\n" + script + "\n:") ];
  } // extra);
  package = name: script: make name script { };
  withMeta = meta: drv: drv // { inherit meta; };
  program = place: output: "mkdir -p ${builtins.dirOf place}; printf '#!/bin/sh\\necho ${output}\\n' > ${place}; chmod +x ${place}";
in
import demo arguments // {
  low = withMeta { priority = 10; } (package "a-low-1" (program "$out/bin/tool" "low"));
  high = withMeta { priority = 5; } (package "z-high-1" (program "$out/bin/tool" "high"));
  inbin = withMeta { outputsToInstall = [ "bin" ]; } (make "inbin-1"
    "${program "$bin/bin/inbin" "inbin"}; mkdir -p $out/lib; echo so > $out/lib/libinbin.so"
    { outputs = [ "out" "bin" ]; });
  dangling = package "dangling-1" "mkdir -p $out/bin; ln -s /var/lib/app $out/var";
  filled = package "filled-1" "mkdir -p $out/var/lib/x";
  latin = package "latin-1" (program "$out/bin/$(printf 'run\\351')" "latin");
  usrlocal = package "usrlocal-1" (program "$out/usr/local/bin/local-tool" "local");
}
