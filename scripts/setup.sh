# Sourced with $root set: installs the npm packages of the lock file if they are missing, and finds Node ($node).
install() {
  (cd "$root" && env PATH="$1" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
}
if ! cmp -s "$root/package-lock.json" "$root/node_modules/.installed-lock.json"; then
  echo "installing npm packages …" >&2
  # Read before the install: `npm test` puts node_modules/.bin first in PATH, and the install puts a node there.
  first=$(node --version)
  install "$PATH"
  . "$root/scripts/node.sh"
  # npm skips optional packages that need a newer Node than its own: install again, with the Node of the first install.
  if [ "$first" != "$("$node" --version)" ]; then
    install "$(dirname "$node"):$PATH"
  fi
  cp "$root/package-lock.json" "$root/node_modules/.installed-lock.json"
fi
. "$root/scripts/node.sh"
