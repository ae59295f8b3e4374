# A NixOS module (docs/nixos.md). Its service equals packaging/nixery.service.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.nixery;
  inherit (lib) mkEnableOption mkIf mkOption types;

  text =
    value:
    if builtins.isList value then builtins.concatStringsSep "," (map text value)
    # Copies a path of the configuration to the store.
    else if builtins.isPath value then "${value}"
    else toString value;
  # systemd and `nixery --env-file` parse single-quoted text, and double-quoted text without escapes, in the same way.
  quote =
    name: value:
    if builtins.match "[^']*" value != null then "'${value}'"
    else if builtins.match ''[^"\]*'' value != null then ''"${value}"''
    else throw "services.nixery.settings.${name}: has quotes of both kinds, or a backslash beside a quote";
  settings = lib.filterAttrs (_: value: value != null) cfg.settings;
  lines = lib.mapAttrsToList (name: value: "${name}=${quote name (text value)}\n") settings;
  file = builtins.concatStringsSep "" lines;

  port = lib.toInt (toString (cfg.settings.PORT or 8080));
  capabilities = if port > 0 && port < 1024 then [ "CAP_NET_BIND_SERVICE" ] else [ "" ];
in
{
  options.services.nixery = {
    enable = mkEnableOption "Nixery, a container registry that builds images from Nix packages";

    package = mkOption {
      type = types.package;
      default = import ../../default.nix { inherit pkgs; };
      defaultText = lib.literalExpression "import ../../default.nix { inherit pkgs; }";
      description = "The program.";
    };

    settings = mkOption {
      type =
        let
          value = types.oneOf [ types.int types.float types.str types.path ];
        in
        types.attrsOf (types.nullOr (types.either value (types.listOf value)));
      default = { };
      example = {
        NIXERY_CHANNEL = "nixos-unstable";
        NIXERY_PLATFORMS = [ "amd64" "arm64" ];
        NIXERY_KEEP = 30;
      };
      description = ''
        The settings of docs/configuration.md. A list becomes its values with commas between them. All users of the machine
        can read them, so put secrets into `environmentFiles` or `credentials`.
      '';
    };

    environmentFiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/run/secrets/nixery.env" ];
      description = "Files of `NAME=value` lines with secret settings. Root must be able to read them.";
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = { NIXERY_TLS_KEY = "/var/lib/acme/nixery.example.org/key.pem"; };
      description = ''
        Settings whose value is a file that the service's user cannot read. systemd copies it when the service starts.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the server's port in the firewall.";
    };
  };

  config = mkIf cfg.enable {
    users.users.nixery = {
      isSystemUser = true;
      group = "nixery";
      home = "/var/lib/nixery";
      description = "Nixery registry";
    };
    users.groups.nixery = { };

    environment.systemPackages = [ cfg.package ];
    # For the service, and for commands: sudo -u nixery nixery --env-file /etc/nixery.env …
    environment.etc."nixery.env".text = "NIX_REMOTE='daemon'\nNIXERY_DATA='/var/lib/nixery'\nNIXERY_CACHE='/var/cache/nixery'\n" + file;
    networking.firewall.allowedTCPPorts = if cfg.openFirewall then [ port ] else [ ];

    systemd.services.nixery = {
      description = "Nixery, a container registry that builds images from Nix packages";
      after = [ "network-online.target" "nix-daemon.socket" ];
      wants = [ "network-online.target" "nix-daemon.socket" ];
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ file ];
      path = [ config.nix.package pkgs.git pkgs.openssh ];
      environment = {
        NIX_REMOTE = "daemon";
        NIXERY_DATA = "/var/lib/nixery";
        NIXERY_CACHE = "/var/cache/nixery";
        HOME = "/var/lib/nixery";
      } // builtins.mapAttrs (name: _: "%d/${name}") cfg.credentials;
      serviceConfig = {
        Type = "exec";
        ExecStart = "${cfg.package}/bin/nixery serve";
        EnvironmentFile = [ "-/etc/nixery.env" ] ++ cfg.environmentFiles;
        LoadCredential = lib.mapAttrsToList (name: from: "${name}:${from}") cfg.credentials;
        Restart = "on-failure";
        RestartSec = 5;
        # Responses in progress have NIXERY_GRACE seconds to finish.
        TimeoutStopSec = 20 + lib.toInt (toString (cfg.settings.NIXERY_GRACE or 10));
        KillMode = "mixed";

        User = "nixery";
        Group = "nixery";
        StateDirectory = "nixery";
        StateDirectoryMode = "0750";
        CacheDirectory = "nixery";
        CacheDirectoryMode = "0750";
        UMask = "0027";

        ProtectSystem = "strict";
        ProtectHome = "read-only";
        PrivateDevices = true;
        PrivateTmp = true;
        RemoveIPC = true;
        NoNewPrivileges = true;
        CapabilityBoundingSet = capabilities;
        AmbientCapabilities = capabilities;
        ProtectKernelTunables = true;
        ProtectKernelModules = true;
        ProtectKernelLogs = true;
        ProtectControlGroups = true;
        ProtectClock = true;
        ProtectHostname = true;
        ProtectProc = "invisible";
        RestrictNamespaces = true;
        RestrictSUIDSGID = true;
        RestrictRealtime = true;
        LockPersonality = true;
        RestrictAddressFamilies = [ "AF_UNIX" "AF_INET" "AF_INET6" ];
        SystemCallArchitectures = "native";
        SystemCallFilter = [ "@system-service" ];
        SystemCallErrorNumber = "EPERM";
      };
    };
  };
}
