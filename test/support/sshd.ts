import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import { until } from './until.ts'

/** OpenSSH's server on a free port of the loopback interface. It lets in root with a key of its own. */
export type Sshd = {
  /** Address of a folder on this machine. */
  url(path: string): string
  /** What git runs with this server's key as the known one. */
  readonly command: string
  /** The same, with another key as the known one. */
  readonly wrongCommand: string
  /** The same, without a key of the user's. */
  readonly strangerCommand: string
  close(): Promise<void>
}

export async function openSshd(folder: string): Promise<Sshd> {
  const at = (name: string) => join(folder, name)
  await mkdir(folder)
  for (const name of ['host', 'other', 'user']) {
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', at(name)])
  }
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
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
  // Where it confines its unprivileged processes.
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
    wrongCommand: ssh('user', 'wrong'),
    strangerCommand: ssh('other', 'known'),
    async close() {
      server.kill()
      await server
    },
  }
}
