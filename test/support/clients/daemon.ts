import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { Programs } from './client.ts'

/**
 * Starts a daemon in the foreground and waits until `probe` succeeds.
 * @throws Error with the daemon's output if it exits first or is not ready within two minutes
 */
export async function startDaemon(
  { path }: Programs,
  program: string,
  args: readonly string[],
  probe: () => Promise<void>,
): Promise<{ stop(): Promise<void> }> {
  const daemon = execa(program, args, {
    env: { PATH: path },
    stdin: 'ignore',
    all: true,
    reject: false,
    forceKillAfterDelay: 60_000,
  })
  const stop = async () => {
    daemon.kill('SIGTERM')
    await daemon
  }
  const ended = daemon.then(() => 'ended' as const)
  const deadline = performance.now() + 120_000
  while (performance.now() < deadline) {
    const probed = probe().then(
      () => 'ready' as const,
      () => 'not yet' as const,
    )
    const state = await Promise.race([ended, probed])
    if (state === 'ready') return { stop }
    if (state === 'ended') break
    await sleep(100)
  }
  await stop()
  throw new Error(`${program} did not start:\n${(await daemon).all.slice(-3000)}`)
}
