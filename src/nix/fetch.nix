# Brings a package set's sources into the store. `request` is JSON text: data, never code. The answer is their folder.
{ request }:
let wanted = builtins.fromJSON request;
in toString (
  if wanted ? tarball then fetchTarball { url = wanted.tarball; name = "source"; }
  else (builtins.fetchGit (
    { inherit (wanted.git) url rev; name = "source"; }
    // (if wanted.git ? ref then { inherit (wanted.git) ref; } else { allRefs = true; })
  )).outPath
)
