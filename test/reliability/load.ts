import { setTimeout as sleep } from 'node:timers/promises'
import { runNixery } from '../support/command.ts'
import type { Figures, Ledger } from './ledger.ts'
import { isHttpError, pullImage } from './puller.ts'
import type { Random } from './random.ts'
import type { Victim } from './victim.ts'
import { chooseName, type Settings, type World } from './world.ts'

export type LoadDeps = {
  readonly world: World
  readonly ledger: Ledger
  readonly figures: Figures
  readonly random: Random
  readonly settings: Settings
  readonly onChunk: () => void
}

const clients = 3

/**
 * Pulls images with several concurrent clients, some of which disconnect early, until the server is killed.
 * @param withGc whether a garbage collection may remove an image during a pull, which is then repeated
 * @throws any error before the server is killed
 */
export async function pullUntilKilled(
  { world, ledger, figures, random, settings, onChunk }: LoadDeps,
  victim: Victim,
  withGc: boolean,
): Promise<void> {
  const address = await victim.address
  const pullRepeatedly = async () => {
    let failuresInRow = 0
    while (!victim.isKilled()) {
      const target = {
        name: chooseName(random, world, settings),
        form: random.chance(0.7) ? ('oci' as const) : ('docker' as const),
        settings,
      }
      const disconnect = random.chance(0.15) ? AbortSignal.timeout(random.below(800)) : undefined
      let hasManifest = false
      try {
        await pullImage(address, target.name, {
          form: target.form,
          onChunk,
          onManifest(image) {
            ledger.record(target, image)
            hasManifest = true
          },
          ...(disconnect && { signal: disconnect }),
        })
        failuresInRow = 0
      } catch (error) {
        // The connection may break before `isKilled` is set.
        if (!(error instanceof Error && error.name === 'AssertionError')) await sleep(0)
        if (disconnect?.aborted) continue
        if (isHttpError(error) && error.status === 404 && withGc && (failuresInRow += 1) <= 3) {
          figures.failedByGc += 1
          continue
        }
        if (!victim.isKilled() || isHttpError(error) || isAssertion(error)) throw error
        if (!hasManifest) ledger.recordInterrupted(target)
      }
    }
  }
  const all = await Promise.allSettled(Array.from({ length: clients }, pullRepeatedly))
  for (const each of all) if (each.status === 'rejected') throw each.reason
}

const isAssertion = (error: unknown): boolean => error instanceof Error && error.name === 'AssertionError'

/** Runs `nixery gc` beside the server, and sometimes kills it. */
export async function runGc({ world, figures, random, settings }: LoadDeps): Promise<void> {
  await sleep(random.below(500))
  const env = world.environment(settings)
  const running = runNixery(world.data, world.packages, ['gc', '--keep', '1'], { env })
  const killAfter = random.chance(0.5) ? random.below(1200) : undefined
  const timer = killAfter === undefined ? undefined : setTimeout(() => running.kill('SIGKILL'), killAfter)
  const result = await running
  clearTimeout(timer)
  figures.collections += 1
  if (result.signal === 'SIGKILL') figures.collectionsKilled += 1
  else if (result.exitCode !== 0) throw new Error(`gc ended with ${result.exitCode}:\n${result.stderr}`)
}
