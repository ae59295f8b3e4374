import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import type { Case } from '../table.ts'

// What the systems do that start containers for others: read in their sources, and told by those whose images failed.

const alive = ['tail', '-f', '/dev/null'] as const
const compat = 'devcontainer'
/** Libraries of the meta-package compat are found where the caller says so. */
const found = { LD_LIBRARY_PATH: '/lib' }

const actions = {
  image: compat,
  // GitHub mounts the Node that runs steps written in JavaScript.
  container: { mounts: [{ from: dirname(dirname(process.execPath)), to: '/__e/node20' }], env: found },
  keep: alive,
} as const

const actionsCases: readonly Case[] = [
  {
    ...actions,
    name: 'GitHub Actions tells distributions apart',
    run: ['sh', '-c', 'cat /etc/*release | grep ^ID'],
    prints: 'ID=nixery',
  },
  {
    ...actions,
    name: 'GitHub Actions runs a step of JavaScript with the Node that it mounts',
    run: ['/__e/node20/bin/node', '-p', 'process.version'],
    prints: process.version,
  },
  {
    ...actions,
    name: 'GitHub Actions runs a step of shell',
    run: [
      'bash',
      '--noprofile',
      '--norc',
      '-e',
      '-o',
      'pipefail',
      '-c',
      'git --version | head -c 11; echo; tar --version | head -n 1',
    ],
    prints: /^git version\ntar \(GNU tar\)/,
  },
]

// Which shell there is, the best first; then the script of the job comes on standard input.
const places = [
  '/usr/local/bin/bash',
  '/usr/bin/bash',
  '/bin/bash',
  '/usr/local/bin/sh',
  '/usr/bin/sh',
  '/bin/sh',
]
const detection = `${places.map((place) => `if [ -x ${place} ]; then exec ${place}; fi`).join('; ')}; echo none; exit 1`
const gitlab: Case = {
  name: 'GitLab finds the shell and gives it the job',
  image: 'ci',
  keep: alive,
  run: ['sh', '-c', detection],
  input:
    'set -eo pipefail\necho "${BASH_VERSION%%.*}"\nmkdir -p /builds/x && cd /builds/x && git init --quiet && git status --short && pwd\n',
  prints: '5\n/builds/x',
  except: { containerd: 'ctr does not close standard input' },
}

const jenkins: Case = {
  name: 'Jenkins keeps a container alive with cat, as a user that it does not know',
  image: 'ci',
  container: { user: '1000:1000', workdir: '/tmp' },
  keep: ['cat'],
  run: ['sh', '-c', 'id -u; pwd; echo x >file && cat file; ps -o comm= -p 1'],
  prints: '1000\n/tmp\nx\ncat',
  except: { containerd: 'ctr gives a container that runs in the background no standard input' },
}

const noUser = 'ctr has no option for the user'

const restricted = {
  image: 'ci',
  container: { user: '1000:1000', readOnly: true, withoutCapabilities: true, tmpfs: ['/tmp'] },
} as const
const kubernetes: readonly Case[] = [
  {
    ...restricted,
    name: 'a restricted pod runs, and writes to its own folder',
    run: 'id -u; echo x >/tmp/x && cat /tmp/x; touch /etc/x 2>/dev/null || echo refused; HOME=/tmp git init --quiet /tmp/repository && ls -A /tmp/repository; curl --version | head -c 4',
    prints: '1000\nx\nrefused\n.git\ncurl',
    except: { containerd: noUser },
  },
  {
    ...restricted,
    keep: alive,
    name: 'kubectl cp copies into a pod',
    run: ['tar', '-xmf', '-', '-C', '/tmp'],
    input: execFileSync('tar', ['-cf', '-', '-C', import.meta.dirname, 'systems.ts']),
    prints: '',
    except: { containerd: noUser },
  },
  {
    ...restricted,
    keep: alive,
    name: 'kubectl cp copies out of a pod',
    run: ['sh', '-c', 'tar cf - /etc/os-release 2>/dev/null | tar tvf -'],
    prints: /^-rw-r--r-- root\/root +\d+ 1970-01-01 00:00 etc\/os-release$/,
    except: { containerd: noUser },
  },
]

// What the command line of devcontainers, and the servers of editors, ask before they start.
const devcontainer: readonly Case[] = [
  {
    name: 'a devcontainer stays alive as its command line wants it to',
    image: compat,
    keep: [
      '/bin/sh',
      '-c',
      'echo Container started; trap "exit 0" 15; exec "$@"; while sleep 1 & wait $!; do :; done',
      '-',
    ],
    run: [
      '/bin/sh',
      '-c',
      'uname -m; id -un; getent passwd root | cut -d: -f6-; cat /etc/os-release | grep -c ^ID=nixery$; readlink /proc/self/cwd; command -v git tar ps sed awk grep wget curl | wc -l',
    ],
    prints: /^(x86_64|aarch64)\nroot\n\/root:\/bin\/sh\n1\n\/\n[78]$/,
  },
  {
    name: "an editor's server asks for the C library and its libraries",
    image: compat,
    run: 'ldd --version 2>&1 | head -n 1 | sed "s/.* //"; ls /lib/libstdc++.so.6 /lib/libgcc_s.so.1 /lib/libz.so.1',
    prints: /^2\.\d+\n\/lib\/libgcc_s\.so\.1\n\/lib\/libstdc\+\+\.so\.6\n\/lib\/libz\.so\.1$/,
  },
]

export const systems: readonly Case[] = [...actionsCases, gitlab, jenkins, ...kubernetes, ...devcontainer]
