import type { Case } from '../table.ts'

/** Packages of ../odd.nix, each with a trouble of its own. */
export const odd: readonly Case[] = [
  {
    name: 'of two programs with one name, that with the lower meta.priority is there',
    image: 'shell/low/high',
    run: 'tool',
    prints: 'high',
  },
  {
    name: 'the outputs that meta.outputsToInstall names are there',
    image: 'shell/inbin',
    run: 'inbin; ls /lib/libinbin.so',
    prints: 'inbin\n/lib/libinbin.so',
  },
  {
    name: 'a folder replaces a dangling link',
    image: 'shell/dangling/filled',
    run: 'ls -d /var/lib/x; ls -d /var/log',
    prints: '/var/lib/x\n/var/log',
  },
  {
    name: 'names of files are bytes',
    image: 'shell/latin',
    run: '$(printf "run\\351")',
    prints: 'latin',
  },
  {
    name: "a package's usr/local/bin is found",
    image: 'shell/usrlocal',
    run: 'local-tool; command -v local-tool',
    prints: 'local\n/usr/local/bin/local-tool',
  },
]
