# Sourced with $root set: installs the npm packages of the lockfile if they are not there, and finds Node ($node).
install() {
  (cd "$root" && env PATH="$1" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
}
if ! cmp -s "$root/package-lock.json" "$root/node_modules/.installed-lock.json"; then
  echo "installing npm packages …" >&2
  # Asked before the install: `npm test` puts node_modules/.bin first in PATH, and the install puts a node there.
  first=$(node --version)
  install "$PATH"
  . "$root/scripts/node.sh"
  # npm leaves out optional packages that the Node it runs on is too old for: once more, on the Node it brought.
  if [ "$first" != "$("$node" --version)" ]; then
    install "$(dirname "$node"):$PATH"
  fi
  cp "$root/package-lock.json" "$root/node_modules/.installed-lock.json"
fi
. "$root/scripts/node.sh"
