import { dirname } from 'node:path'
import { debianBusybox } from '../foreign.ts'
import type { Case } from '../table.ts'

const mounts = [
  { from: await debianBusybox(), to: '/foreign' },
  { from: dirname(process.execPath), to: '/node' },
]

/** Programs that were not built for Nix. */
export const foreign: readonly Case[] = [
  {
    name: "Debian's busybox starts in any image that has a C library",
    image: 'shell',
    container: { mounts },
    run: '/foreign/busybox echo started; /foreign/busybox wc -l </etc/group',
    prints: /^started\n\d+$/,
  },
  {
    name: "Node's own build lacks the C++ library in an image without compat",
    image: 'shell',
    container: { mounts },
    run: '/node/node --version',
    prints: /libstdc\+\+\.so\.6: cannot open shared object file/,
  },
  {
    name: "Node's own build starts with compat",
    image: 'compat/bash/coreutils',
    container: { mounts },
    run: 'LD_LIBRARY_PATH=/lib /node/node -p "6 * 7"',
    prints: '42',
  },
  {
    name: "Nix's loader searches no system folder, and LD_LIBRARY_PATH is unset",
    image: 'compat/bash/coreutils',
    container: { mounts },
    run: '$(readlink -f /lib64/ld-linux-x86-64.so.2 || readlink -f /lib/ld-linux-aarch64.so.1) --list /node/node; ls /lib/libstdc++.so.6; echo ${LD_LIBRARY_PATH-unset}',
    prints: /libstdc\+\+\.so\.6: cannot open shared object file.*\n\/lib\/libstdc\+\+\.so\.6\nunset$/,
  },
]
