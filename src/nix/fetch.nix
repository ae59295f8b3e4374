# Brings the files of a tarball into the store. `request` is JSON text: data, never code. The answer is their folder.
{ request }:
toString (fetchTarball { url = (builtins.fromJSON request).tarball; name = "source"; })
