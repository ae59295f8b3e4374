import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { NixeryError } from '../src/errors.ts'

/** Set to the user's folder that is mounted as /nix. */
const variable = 'DEMO_OWN_STORE'

/** The folder that this process sees as /nix, if `runWithOwnStore` started it. */
export const ownStore = (): string | undefined => process.env[variable]

/**
 * Whether Nix works for this user: as root, as the owner of the store, or through a daemon that accepts the user.
 */
export async function canUseNix(): Promise<boolean> {
  if (process.getuid?.() === 0) return true
  // Connects to the daemon, or opens the store for writing.
  const roots = await execa('nix-store', ['--gc', '--print-roots'], { reject: false, stdin: 'ignore' })
  return !roots.failed
}

/** @throws SETUP_FAILED if this user cannot run podman */
export async function requireRootless(): Promise<void> {
  if (process.getuid?.() === 0) return
  const tried = await execa('podman', ['unshare', 'true'], { reject: false, stdin: 'ignore' })
  if (!tried.failed) return
  const reason = tried.stderr.trim().split('\n').at(-1) ?? tried.shortMessage
  throw new NixeryError('SETUP_FAILED', `podman does not work for this user: ${reason}`, {
    hint: 'as root, this works without user namespaces: sudo npm run demo',
  })
}

/**
 * Runs a command that sees a folder of this user as /nix, in new user and mount namespaces. Nix and podman work in them
 * as for root.
 * @param folder for the store and the mount point; created if missing, and kept
 * @returns its exit code
 */
export async function runWithOwnStore(folder: string, command: readonly string[]): Promise<number> {
  const [root, store] = [join(folder, 'root'), join(folder, 'nix')]
  for (const each of [root, store]) await mkdir(each, { recursive: true })
  const script = join(import.meta.dirname, 'own-store.sh')
  const env = {
    [variable]: store,
    // The machine's build users, if any, do not exist in these namespaces.
    NIX_CONFIG: `build-users-group =\n${process.env['NIX_CONFIG'] ?? ''}`,
    NIX_REMOTE: '',
  }
  const args = ['unshare', 'unshare', '--mount', 'sh', script, root, store, ...command]
  const { exitCode } = await execa('podman', args, { stdio: 'inherit', reject: false, env })
  return exitCode ?? 1
}
