import type { Case } from '../table.ts'

// All in one image, because a pull and a container take a second each.
const image = 'shell/dangling/filled/high/inbin/latin/low/usrlocal'

/** Packages of ../odd.nix, each with an unusual property. */
export const odd: readonly Case[] = [
  {
    name: 'the program with the lower meta.priority wins over another of the same name',
    image,
    run: 'tool',
    prints: 'high',
  },
  {
    name: 'contains the outputs in meta.outputsToInstall',
    image,
    run: 'inbin; ls /lib/libinbin.so',
    prints: 'inbin\n/lib/libinbin.so',
  },
  {
    name: 'a folder replaces a dangling link',
    image,
    run: 'ls -d /var/lib/x; ls -d /var/log',
    prints: '/var/lib/x\n/var/log',
  },
  {
    name: 'names of files are bytes',
    image,
    run: '$(printf "run\\351")',
    prints: 'latin',
  },
  {
    name: "a package's usr/local/bin is found",
    image,
    run: 'local-tool; command -v local-tool',
    prints: 'local\n/usr/local/bin/local-tool',
  },
]
