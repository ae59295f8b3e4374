# Sourced with $root set: installs the npm packages of the lockfile if they are not there, and finds Node ($node).
if ! cmp -s "$root/package-lock.json" "$root/node_modules/.installed-lock.json"; then
  echo "installing npm packages …" >&2
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error >&2)
  cp "$root/package-lock.json" "$root/node_modules/.installed-lock.json"
fi
. "$root/scripts/node.sh"
