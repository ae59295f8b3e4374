{
  description = "A container registry that builds the image while it is being pulled, from Nix packages";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  outputs =
    { self, nixpkgs }:
    let
      forEach =
        make:
        nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system: make nixpkgs.legacyPackages.${system}
        );
    in
    {
      packages = forEach (pkgs: rec {
        nixery = import ./. { inherit pkgs; };
        default = nixery;
      });
      nixosModules.default = ./deploy/nixos/module.nix;
      overlays.default = final: _: { nixery = import ./. { pkgs = final; }; };
    };
}
