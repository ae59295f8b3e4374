# The part of nixpkgs' lib that deploy/nixos/module.nix uses, so that the test needs no nixpkgs. Types check nothing.
rec {
  mkOption = option: option;
  mkEnableOption = _: { default = false; };
  mkIf = condition: value: if condition then value else { };
  literalExpression = text: text;
  types = {
    package = { };
    int = { };
    float = { };
    str = { };
    path = { };
    bool = { };
    oneOf = _: { };
    either = _: _: { };
    nullOr = _: { };
    listOf = _: { };
    attrsOf = _: { };
  };
  filterAttrs =
    keep: set:
    removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
  mapAttrsToList = make: set: map (name: make name set.${name}) (builtins.attrNames set);
  toInt = text: builtins.fromJSON text;

  # Evaluates a module with the configuration of its service.
  evaluate =
    module: given:
    let
      pkgs = {
        git = "git";
        openssh = "openssh";
      };
      config = {
        services.nixery =
          builtins.mapAttrs (_: option: option.default) (removeAttrs made.options.services.nixery [ "package" ]) // given;
        nix.package = "nix";
      };
      made = import module {
        inherit config pkgs;
        lib = import ./nixos-lib.nix;
      };
    in
    made.config;
}
