import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { NixeryError } from '../src/errors.ts'

/** Set where /nix is a folder of an ordinary user, to that folder. */
const variable = 'DEMO_OWN_STORE'

/** The folder that is /nix for this process, if `runWithOwnStore` has started it. */
export const ownStore = (): string | undefined => process.env[variable]

/**
 * Whether Nix works for this user: as root, as the owner of the store, or through a daemon that accepts the user.
 */
export async function canUseNix(): Promise<boolean> {
  if (process.getuid?.() === 0) return true
  // Reads from the daemon, or opens the store for writing.
  const roots = await execa('nix-store', ['--gc', '--print-roots'], { reject: false, stdin: 'ignore' })
  return !roots.failed
}

/** @throws SETUP_FAILED if podman does not run containers for this user */
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
 * Runs a command for which /nix is a folder of this user, in user and mount namespaces of its own. Nix and podman work
 * in it as they do for root.
 * @param folder for the store and for what is needed to mount it; created if missing, and kept
 * @returns its exit code
 */
export async function runWithOwnStore(folder: string, command: readonly string[]): Promise<number> {
  const [root, store] = [join(folder, 'root'), join(folder, 'nix')]
  for (const each of [root, store]) await mkdir(each, { recursive: true })
  const script = join(import.meta.dirname, 'own-store.sh')
  const env = {
    [variable]: store,
    // The build users that this machine may have are none of these namespaces.
    NIX_CONFIG: `build-users-group =\n${process.env['NIX_CONFIG'] ?? ''}`,
    NIX_REMOTE: '',
  }
  const args = ['unshare', 'unshare', '--mount', 'sh', script, root, store, ...command]
  const { exitCode } = await execa('podman', args, { stdio: 'inherit', reject: false, env })
  return exitCode ?? 1
}
