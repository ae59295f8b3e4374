# For a process that handles one request: JSON text with the arguments of lookup.nix. It is data, never code.
{ request }:
let wanted = builtins.fromJSON request; in
import ./lookup.nix wanted wanted
