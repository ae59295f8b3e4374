# Fetches the files of a tarball into the store. `request` is JSON text: data, never code. Returns their folder.
{ request }:
toString (fetchTarball { url = (builtins.fromJSON request).tarball; name = "source"; })
