#!/bin/sh
# own-store.sh ROOT STORE COMMAND [ARG …]: runs a command that sees the folder STORE as /nix, and all other files unchanged.
# Must run in new user and mount namespaces (podman unshare unshare --mount). ROOT is an empty folder to use as the new
# root, because /nix itself may not exist.
set -eu
PATH=$PATH:/usr/sbin:/sbin
root=$1
store=$2
here=$(pwd)
shift 2
mount -t tmpfs -o mode=755 nixery "$root"
for each in /* /.[!.]*; do
  if [ "$each" = /nix ]; then continue; fi
  if [ -L "$each" ]; then
    cp -P "$each" "$root$each"
  elif [ -d "$each" ]; then
    mkdir "$root$each"
    mount --rbind "$each" "$root$each"
  elif [ -e "$each" ]; then
    : >"$root$each"
    mount --bind "$each" "$root$each"
  fi
done
mkdir "$root/nix" "$root/.old-root"
mount --bind "$store" "$root/nix"
cd "$root"
# Not chroot, in which the kernel does not permit further user namespaces.
pivot_root . .old-root
umount --lazy /.old-root
rmdir /.old-root
cd "$here"
exec "$@"
