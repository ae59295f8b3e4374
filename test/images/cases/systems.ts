import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import type { Case } from '../table.ts'

// What CI systems, Kubernetes and devcontainers run in containers, according to their sources and public bug reports.

const alive = ['tail', '-f', '/dev/null'] as const
const compat = 'devcontainer'
/** The libraries of the meta-package compat are not in the loader's default path. */
const libraryPath = { LD_LIBRARY_PATH: '/lib' }

const actions = {
  image: compat,
  // GitHub mounts the Node that runs JavaScript actions.
  container: { mounts: [{ from: dirname(dirname(process.execPath)), to: '/__e/node20' }], env: libraryPath },
  keep: alive,
} as const

const actionsCases: readonly Case[] = [
  {
    ...actions,
    name: 'GitHub Actions detects the distribution',
    run: ['sh', '-c', 'cat /etc/*release | grep ^ID'],
    prints: 'ID=nixery',
  },
  {
    ...actions,
    name: 'GitHub Actions runs a JavaScript action with the mounted Node',
    run: ['/__e/node20/bin/node', '-p', 'process.version'],
    prints: process.version,
  },
  {
    ...actions,
    name: 'GitHub Actions runs a shell step',
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

// GitLab's shell detection in order of preference; it then sends the job's script on standard input.
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
  name: 'GitLab detects the shell and runs a job in it',
  image: 'ci',
  keep: alive,
  run: ['sh', '-c', detection],
  input:
    'set -eo pipefail\necho "${BASH_VERSION%%.*}"\nmkdir -p /builds/x && cd /builds/x && git init --quiet && git status --short && pwd\n',
  prints: '5\n/builds/x',
  except: { containerd: 'ctr does not close standard input' },
}

const jenkins: Case = {
  name: 'Jenkins keeps a container alive with cat, as a user without an account',
  image: 'ci',
  container: { user: '1000:1000', workdir: '/tmp' },
  keep: ['cat'],
  run: ['sh', '-c', 'id -u; pwd; echo x >file && cat file; ps -o comm= -p 1'],
  prints: '1000\n/tmp\nx\ncat',
  except: { containerd: 'ctr gives background containers no standard input' },
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

// What the devcontainer CLI and editor servers check before they start.
const devcontainer: readonly Case[] = [
  {
    name: 'the devcontainer CLI keeps a container alive',
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
    name: "an editor's server detects the C library and finds its libraries",
    image: compat,
    run: 'ldd --version 2>&1 | head -n 1 | sed "s/.* //"; ls /lib/libstdc++.so.6 /lib/libgcc_s.so.1 /lib/libz.so.1',
    prints: /^2\.\d+\n\/lib\/libgcc_s\.so\.1\n\/lib\/libstdc\+\+\.so\.6\n\/lib\/libz\.so\.1$/,
  },
]

export const systems: readonly Case[] = [...actionsCases, gitlab, jenkins, ...kubernetes, ...devcontainer]
