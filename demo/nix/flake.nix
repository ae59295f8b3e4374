{
  description = "Packages made from Debian 12's, by nixpkgs' names";
  outputs =
    { self }:
    {
      legacyPackages = builtins.listToAttrs (
        map (system: {
          name = system;
          value = import ./. { inherit system; };
        }) [ "x86_64-linux" "aarch64-linux" ]
      );
    };
}
