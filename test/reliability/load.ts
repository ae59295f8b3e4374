import { setTimeout as sleep } from 'node:timers/promises'
import { runNixery } from '../support/command.ts'
import type { Figures, Ledger } from './ledger.ts'
import { isRefused, pullImage } from './puller.ts'
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
 * Pulls one image after another, by several clients at once, some of which leave early, until the server is killed.
 * @param cleaning whether something may be removed meanwhile that is being pulled: who meets that pulls again
 * @throws what went wrong while the server was alive
 */
export async function pullUntilKilled(
  { world, ledger, figures, random, settings, onChunk }: LoadDeps,
  victim: Victim,
  cleaning: boolean,
): Promise<void> {
  const address = await victim.address
  const one = async () => {
    let met = 0
    while (!victim.isKilled()) {
      const wish = {
        name: chooseName(random, world, settings),
        form: random.chance(0.7) ? ('oci' as const) : ('docker' as const),
        settings,
      }
      const leave = random.chance(0.15) ? AbortSignal.timeout(random.below(800)) : undefined
      let isAnswered = false
      try {
        await pullImage(address, wish.name, {
          form: wish.form,
          onChunk,
          onAnswered(image) {
            ledger.answered(wish, image)
            isAnswered = true
          },
          ...(leave && { signal: leave }),
        })
        met = 0
      } catch (error) {
        // A connection that a kill cuts off may be seen before the kill is noted.
        if (!(error instanceof Error && error.name === 'AssertionError')) await sleep(0)
        if (leave?.aborted) continue
        if (isRefused(error) && error.status === 404 && cleaning && (met += 1) <= 3) {
          figures.metCleaning += 1
          continue
        }
        if (!victim.isKilled() || isRefused(error) || isAssertion(error)) throw error
        if (!isAnswered) ledger.cutOff(wish)
      }
    }
  }
  const all = await Promise.allSettled(Array.from({ length: clients }, one))
  for (const each of all) if (each.status === 'rejected') throw each.reason
}

const isAssertion = (error: unknown): boolean => error instanceof Error && error.name === 'AssertionError'

/** Runs `nixery gc` beside the server, and sometimes kills that, too. */
export async function cleanMeanwhile({ world, figures, random, settings }: LoadDeps): Promise<void> {
  await sleep(random.below(500))
  const env = world.environment(settings)
  const running = runNixery(world.data, world.packages, ['gc', '--keep', '1'], { env })
  const killAfter = random.chance(0.5) ? random.below(1200) : undefined
  const timer = killAfter === undefined ? undefined : setTimeout(() => running.kill('SIGKILL'), killAfter)
  const result = await running
  clearTimeout(timer)
  figures.cleanings += 1
  if (result.signal === 'SIGKILL') figures.cleaningsKilled += 1
  else if (result.exitCode !== 0) throw new Error(`gc ended with ${result.exitCode}:\n${result.stderr}`)
}
