# One request for one process: JSON text with all that lookup.nix takes. It is data, never code.
{ request }:
let wanted = builtins.fromJSON request; in
import ./lookup.nix wanted wanted
