# A package set made from Debian 12's binary packages; attribute names follow nixpkgs. Everything is built with
# the programs in ./seed and nothing else, for every system on the seed's system: unpacking and patching is all.
{ system ? builtins.currentSystem, buildSystem ? null, ... }:
let
  read = file: builtins.fromJSON (builtins.readFile (./. + "/${file}"));
  arch =
    {
      x86_64-linux = "amd64";
      aarch64-linux = "arm64";
    }.${system} or (throw "the demo package set has no packages for ${system}");
  packages =
    if builtins.pathExists (./. + "/${arch}/packages.json") then
      read "${arch}/packages.json"
    else
      throw "the demo package set was made without packages for ${system}";

  # Fixed names and hashes: store paths depend neither on where this folder lies nor on the machine.
  seedInfo = read "seed.json";
  seed = builtins.path {
    path = ./seed;
    name = "debian-seed";
    inherit (seedInfo) sha256;
  };
  builder = builtins.path {
    path = ./builder.sh;
    name = "debian-builder.sh";
  };
  source =
    { file, sha256 }:
    builtins.path {
      path = ./sources + "/${file}";
      name = file;
      recursive = false;
      inherit sha256;
    };

  make =
    key: package:
    let
      substitutions = builtins.listToAttrs (
        map (name: {
          name = "@${name}@";
          value = "${units.${name}}";
        }) package.references
      ) // {
        "@out@" = builtins.placeholder "out";
      };
      drv = derivation {
        inherit (package) name pname version outputs;
        system = if buildSystem == null then seedInfo.system else buildSystem;
        builder = "${seed}/busybox";
        args = [ "sh" builder ];
        inherit seed;
        archives = map source package.sources;
        plan = builtins.replaceStrings
          (builtins.attrNames substitutions)
          (builtins.attrValues substitutions)
          (package.plan or (builtins.readFile (./. + "/${arch}/plans/${key}.sh")));
        passAsFile = [ "plan" ];
        # What is built with must not stay in what is built.
        disallowedReferences = [ seed ];
      };
    in
    drv // { inherit (package) meta; };

  # Nixery itself, which is not made from Debian's packages; demo/program.ts.
  program =
    if arch == "amd64" && builtins.pathExists ./program.json then
      read "program.json"
    else
      { attributes = { }; units = { }; };

  units = builtins.mapAttrs make (packages.units // program.units);
  resolve =
    value:
    if builtins.isString value then
      let parts = builtins.match "(.*)\\^(.*)" value; in
      if parts == null then units.${value} else units.${builtins.elemAt parts 0}.${builtins.elemAt parts 1}
    else
      builtins.mapAttrs (_: resolve) value // { recurseForDerivations = true; };
in
builtins.mapAttrs (_: resolve) (packages.attributes // program.attributes)
