import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'

const commands = ['--extra-experimental-features', 'nix-command']

/** Runs a command of Nix as the tests' servers do: without a group for builders, and without caches. */
export const nix = (program: string, args: readonly string[]) =>
  execa(program, [...args], {
    env: {
      NIX_CONFIG: [
        'build-users-group =',
        'substitute = false',
        'sandbox = false',
        process.env['NIX_CONFIG'] ?? '',
      ].join('\n'),
    },
  })

/** A key for signing, in a folder: its file, and the public key as settings have it. */
export async function makeKey(folder: string, name: string): Promise<{ secret: string; text: string }> {
  const [secret, open] = [join(folder, `${name}.secret`), join(folder, `${name}.public`)]
  await nix('nix-store', ['--generate-binary-cache-key', name, secret, open])
  return { secret, text: (await readFile(open, 'utf8')).trim() }
}

/** Makes a binary cache in a folder from store paths and all that they need, as people do. */
export async function makeCache(
  folder: string,
  paths: readonly string[],
  { compression, secret }: { compression: 'xz' | 'zstd' | 'none'; secret?: string },
): Promise<void> {
  const key = secret === undefined ? '' : `&secret-key=${secret}`
  await nix('nix', [
    ...commands,
    'copy',
    '--to',
    `file://${folder}?compression=${compression}${key}`,
    ...paths,
  ])
}

/** Serves a folder by nginx on a free port of 127.0.0.1. */
export async function serveByNginx(
  folder: string,
  root: string,
  /** What else the server is configured with. */
  more = '',
): Promise<{ url: string; stop(): Promise<unknown> }> {
  const port = await freePort()
  await mkdir(folder)
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  await writeFile(
    join(folder, 'conf'),
    `daemon off; user root; pid ${folder}/pid; events {}
    http {
      access_log off;
      ${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n')}
      server { listen 127.0.0.1:${port}; root ${root}; ${more} }
    }`,
  )
  const nginx = execa('nginx', ['-e', `${folder}/error`, '-c', join(folder, 'conf')], {
    reject: false,
    forceKillAfterDelay: 5000,
  })
  const url = `http://127.0.0.1:${port}`
  while (
    !(await fetch(url)
      .then((answer) => answer.text())
      .catch(() => undefined))
  )
    await sleep(20)
  return {
    url,
    stop: () => {
      nginx.kill()
      return nginx
    },
  }
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => {
    probe.listen(0, '127.0.0.1', resolve)
  })
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => {
    probe.close(resolve)
  })
  return port
}
