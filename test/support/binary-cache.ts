import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { startNginx } from './nginx.ts'

const commands = ['--extra-experimental-features', 'nix-command']

/** Runs a Nix command with the settings of the tests' servers: no build users, no substituters. */
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

/** Generates a signing key: the file of the secret key, and the public key as a setting takes it. */
export async function makeKey(folder: string, name: string): Promise<{ secret: string; text: string }> {
  const [secret, publicKey] = [join(folder, `${name}.secret`), join(folder, `${name}.public`)]
  await nix('nix-store', ['--generate-binary-cache-key', name, secret, publicKey])
  return { secret, text: (await readFile(publicKey, 'utf8')).trim() }
}

/** Copies the closures of store paths to a binary cache in a folder. */
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
 * Serves a folder with nginx on a free port of 127.0.0.1.
 * @param folder for nginx's own files
 * @param more further directives of the `server` block
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
