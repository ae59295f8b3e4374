import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { startNginx } from './nginx.ts'

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
  { compression, secret }: { compression: 'xz' | 'zstd' | 'none' | 'bzip2'; secret?: string },
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

/**
 * Serves a folder by nginx on a free port of 127.0.0.1.
 * @param folder for the files of nginx
 * @param more further directives of the server
 */
export async function serveByNginx(
  folder: string,
  root: string,
  more = '',
): Promise<{ url: string; stop: () => Promise<void> }> {
  const { address, stop } = await startNginx(
    folder,
    (port) => `server { listen 127.0.0.1:${port}; root ${root}; ${more} }`,
  )
  return { url: `http://${address}`, stop }
}
