# Makes one store path from Debian archives. Run by the busybox of the seed, which finds its own applets before
# any program, so nothing of the machine is used. $archives are the inputs, $planPath the instructions: calls of
# the functions below, written by demo/plan.ts, with paths relative to the archives' root and to $out.
set -euo pipefail
umask 022
export LC_ALL=C

# On the same file system as $out, so that files can be renamed into place.
unpacked=$out/.unpacked
mkdir -p "$unpacked"

unpack() {
  case $1 in
  *.tgz) gunzip -c "$1" ;;
  *)
    case $(ar t "$1") in
    *data.tar.xz*) ar p "$1" data.tar.xz | unxz -c ;;
    *data.tar.gz*) ar p "$1" data.tar.gz | gunzip -c ;;
    *) ar p "$1" data.tar ;;
    esac
    ;;
  # Owners and special permissions mean nothing in the store, and the sandbox forbids setting them.
  esac | tar -x -o --no-same-permissions -C "$unpacked" -f -
}

patchelf() { "$seed/ld.so" --library-path "$seed" "$seed/patchelf" "$@"; }

makeFolderOf() { mkdir -p "${1%/*}"; }

# Nix forbids to keep a set-group-ID bit while changing a mode.
makeWritable() { chmod u+w,ug-s "$@"; }

# move FOLDER PATH…: paths of the archives into a folder of the output
move() {
  mkdir -p "$out/$1"
  folder=$out/$1
  shift
  (cd "$unpacked" && mv "$@" "$folder/")
}

# rename PATH NEW: a path of the archives to its place in the output
rename() {
  makeFolderOf "$out/$2"
  mv "$unpacked/$1" "$out/$2"
}

# overwrite FILE OFFSET LENGTH TEXT: a text inside a binary, by one that is not longer
overwrite() {
  [ ${#4} -le "$3" ]
  makeWritable "$out/$1"
  { printf %s "$4"; head -c $(($3 - ${#4})) /dev/zero; } | dd of="$out/$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# repoint FILE OFFSET LENGTH FOLDER [OFFSET BYTES]...: a folder that a library is to look in, filled up with slashes
# to a length, and what makes its code read it
repoint() {
  library=$out/$1 place=$2 folder=$4
  [ ${#folder} -le "$3" ]
  while [ ${#folder} -lt "$3" ]; do folder=$folder/; done
  makeWritable "$library"
  printf %s "$folder" | poke "$library" "$place"
  shift 4
  while [ $# -gt 0 ]; do
    printf "$2" | poke "$library" "$1"
    shift 2
  done
}

# poke FILE OFFSET <bytes
poke() { dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

# link PATH TARGET
link() {
  makeFolderOf "$out/$1"
  rm -f "$out/$1"
  ln -s "$2" "$out/$1"
}

# patch INTERPRETER SEARCHPATH FILE…: what the dynamic linker needs to know; an empty INTERPRETER for libraries
patch() {
  interpreter=$1 searchPath=$2
  shift 2
  cd "$out"
  makeWritable "$@"
  patchelf ${interpreter:+--set-interpreter "$interpreter"} --set-rpath "$searchPath" "$@"
}

# interpreter FILE LINE: the first line of a script
interpreter() {
  makeWritable "$out/$1"
  sed -i "1s|.*|$2|" "$out/$1"
}

# wrap PROGRAM SHELL <lines: start the program by a script that runs these lines first
wrap() {
  hidden=$out/${1%/*}/.${1##*/}-wrapped
  mv "$out/$1" "$hidden"
  { echo "#!$2"; cat; echo "exec -a \"\$0\" $hidden \"\$@\""; } >"$out/$1"
  chmod 755 "$out/$1"
}

# add FILE <content
add() {
  makeFolderOf "$out/$1"
  rm -f "$out/$1"
  cat >"$out/$1"
}

# split OUTPUT FOLDER: a folder into an output of its own
split() {
  makeFolderOf "$1/$2"
  if [ -e "$out/$2" ]; then mv "$out/$2" "$1/$2"; fi
}

# propagate PATH…: references that stand in no file
propagate() {
  mkdir -p "$out/nix-support"
  echo "$*" >"$out/nix-support/propagated-build-inputs"
}

for archive in $archives; do unpack "$archive"; done
. "$planPath"
rm -rf "$unpacked"
# Never end in a program: Nix 2.8 may then think that the builder was killed.
:
