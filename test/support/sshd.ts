import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { freePort } from './ports.ts'
import { until } from './until.ts'

/** OpenSSH's server on a free port of the loopback interface. Root can log in with a generated key. */
export type Sshd = {
  /** The URL of a folder on this machine. */
  url(path: string): string
  /** The ssh command for git, with the correct host key. */
  readonly command: string
  /** The ssh command with another host key as the known one. */
  readonly wrongHostCommand: string
  /** The ssh command with a user key that the server does not know. */
  readonly wrongUserCommand: string
  close(): Promise<void>
}

export async function openSshd(folder: string): Promise<Sshd> {
  const at = (name: string) => join(folder, name)
  await mkdir(folder)
  for (const name of ['host', 'other', 'user']) {
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', at(name)])
  }
  const port = await freePort()
  const settings = [
    `HostKey ${at('host')}`,
    `AuthorizedKeysFile ${at('user.pub')}`,
    'AuthenticationMethods publickey',
    'PermitRootLogin prohibit-password',
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
  ]
  await writeFile(at('sshd_config'), `${settings.join('\n')}\n`)
  for (const [name, key] of [
    ['known', 'host'],
    ['wrong', 'other'],
  ] as const) {
    const [kind, text] = (await readFile(at(`${key}.pub`), 'utf8')).split(' ')
    await writeFile(at(name), `[127.0.0.1]:${port} ${kind} ${text}`)
  }
  // sshd confines its unprivileged processes to this folder.
  await mkdir('/run/sshd', { recursive: true })
  const server = execa(
    '/usr/sbin/sshd',
    ['-D', '-e', '-p', String(port), '-o', 'ListenAddress=127.0.0.1', '-f', at('sshd_config')],
    {
      reject: false,
      stdin: 'ignore',
    },
  )
  const listening = () =>
    execa('ssh-keyscan', ['-p', String(port), '127.0.0.1'], { reject: false }).then(
      ({ stdout }) => stdout !== '',
    )
  await until(listening, 'sshd listens')
  const ssh = (key: string, known: string) =>
    `ssh -F none -o IdentitiesOnly=yes -o BatchMode=yes -i ${at(key)} -o UserKnownHostsFile=${at(known)}`
  return {
    url: (path) => `ssh://root@127.0.0.1:${port}${path}`,
    command: ssh('user', 'known'),
    wrongHostCommand: ssh('user', 'wrong'),
    wrongUserCommand: ssh('other', 'known'),
    async close() {
      server.kill()
      await server
    },
  }
}
