import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runNixery } from '../support/command.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'
import { noFigures, openLedger, type Figures, type Ledger } from './ledger.ts'
import { runGc, pullUntilKilled } from './load.ts'
import { chooseMoment, createTrigger, describeMoment } from './moment.ts'
import { processesWith, untilGone, type ProcessInfo } from './processes.ts'
import { pullImage } from './puller.ts'
import { createRandom, type Random } from './random.ts'
import { startVictim, type Victim } from './victim.ts'
import { age, chooseSettings, contentOf, openWorld, type Settings, type World } from './world.ts'
import { isError } from '../support/log.ts'

export type KillOptions = {
  readonly seed: number
  readonly kills: number
  /** The number of kills with one store. A new store makes the next servers build again. */
  readonly perWorld: number
  /** The folder of the demo package set. */
  readonly demo: string
  readonly say: (line: string) => void
}

// In seconds: a process that outlives its server exits after its current work, and a builder here takes at most 3 s.
const maxOutlive = 30

/** The state of a round. */
type Round = {
  readonly world: World
  readonly ledger: Ledger
  readonly figures: Figures
  readonly random: Random
  readonly say: (line: string) => void
}

/**
 * Kills servers at random moments, each server with the data that the previous ones left, and checks all invariants after
 * each restart.
 * @throws AssertionError
 */
export async function runKills({ seed, kills, perWorld, demo, say }: KillOptions): Promise<Figures> {
  const random = createRandom(seed)
  const figures = noFigures()
  while (figures.kills < kills) {
    const workspace = await openWorkspace()
    try {
      await runInNewWorld(workspace, Math.min(perWorld, kills - figures.kills), demo, {
        random,
        figures,
        say,
      })
    } catch (error) {
      throw new Error(`seed ${seed}, after kill ${figures.kills}: ${String(error)}`, { cause: error })
    } finally {
      await workspace.dispose()
    }
  }
  return figures
}

async function runInNewWorld(
  workspace: Workspace,
  kills: number,
  demo: string,
  { random, figures, say }: Pick<Round, 'random' | 'figures' | 'say'>,
): Promise<void> {
  const world = await openWorld(workspace, join(workspace.folder, 'data'), demo)
  const round = { world, figures, random, say, ledger: openLedger(world, figures) }
  let orphans: readonly ProcessInfo[] = []
  try {
    for (let count = 0; count < kills; count += 1) orphans = await killOnce(round, orphans)
    await untilGone(orphans, maxOutlive)
    await finish(round)
  } finally {
    for (const { pid } of await processesWith(world.marks)) process.kill(pid, 'SIGKILL')
  }
}

/** @param orphans processes that the previous server left running @returns those of this server */
async function killOnce(round: Round, orphans: readonly ProcessInfo[]): Promise<readonly ProcessInfo[]> {
  const { world, ledger, figures, random, say } = round
  const settings = chooseSettings(random, random.chance(0.2))
  const moment = chooseMoment(random)
  const trigger = createTrigger(moment)
  const isAged = figures.kills > 0 && random.chance(0.15) && (await contentOf(world.blobs)).count > 0
  const withGc = isAged || random.chance(0.15)
  if (isAged) {
    await untilGone(orphans, maxOutlive)
    await age(world, 3)
    ledger.setAged(true)
  }
  if (withGc) ledger.gcStarts()
  const victim = startVictim({
    environment: world.environment(settings),
    onLine: (line) => trigger.onLine(line),
  })
  try {
    if (moment.at !== 'start') {
      const address = await victim.address
      await ledger.check(address, settings)
      await untilGone(orphans, maxOutlive)
    }
    const killed = trigger.wait(world).then(() => victim.kill())
    const deps = { ...round, settings, onChunk: () => trigger.onChunk() }
    const work = [
      killed,
      ...(moment.at === 'start' ? [] : [pullUntilKilled(deps, victim, withGc)]),
      ...(withGc ? [runGc(deps)] : []),
    ]
    await killed
    ledger.killed()
    const left = await processesWith(world.marks)
    const since = performance.now()
    const gone = untilGone(left, maxOutlive).then(() => performance.now() - since)
    gone.catch(() => {}) // the next round waits again
    for (const each of await Promise.allSettled(work)) if (each.status === 'rejected') throw each.reason
    checkLog(victim)
    ledger.setAged(false)
    const staged = await contentOf(world.staging)
    figures.kills += 1
    figures.outlived += left.length
    figures.longestOutlived = Math.max(figures.longestOutlived, left.length > 0 ? await gone : 0)
    figures.mostLeft = Math.max(figures.mostLeft, staged.count)
    figures.mostLeftBytes = Math.max(figures.mostLeftBytes, staged.bytes)
    say(
      `kill ${figures.kills}: ${describeMoment(moment)}; ${describeSettings(settings)}` +
        `${isAged ? ', aged' : ''}${withGc ? ', gc' : ''}; ${figures.pulled} pulled, ` +
        `${figures.interrupted} interrupted, ${figures.hashed} blobs hashed, ${left.length} outlived, ${staged.count} left`,
    )
    return left
  } finally {
    await victim.kill()
  }
}

const describeSettings = ({ maxLayers, compression, demo }: Settings): string =>
  `${maxLayers} layers, ${compression}${demo ? ', demo set' : ''}`

/** Asserts that the log reports neither errors nor a damaged catalog. */
function checkLog({ log, stray }: Victim): void {
  assert.deepEqual(stray, [])
  const bad = log.filter((line) => isError(line) || /damaged|not used for a while/.test(line.msg))
  assert.deepEqual(bad, [])
}

/** Asserts that `gc` removes everything that the killed servers left, and that images can then be built again. */
async function finish({ world, ledger, figures, random, say }: Round): Promise<void> {
  for (const demo of [false, true]) {
    const settings = chooseSettings(random, demo)
    if (demo && ledger.pending.length === 0) break
    const victim = startVictim({ environment: world.environment(settings) })
    try {
      await ledger.check(await victim.address, settings)
      assert.equal(await victim.stop(), 0)
      checkLog(victim)
    } finally {
      await victim.kill()
    }
  }
  assert.deepEqual(ledger.pending, [])

  await age(world, 3)
  ledger.setAged(true)
  const settings = chooseSettings(random, false)
  const env = world.environment(settings)
  const collected = await runNixery(world.data, world.packages, ['gc', '--keep', '1'], { env })
  assert.equal(collected.exitCode, 0, collected.stderr)
  assert.deepEqual([await readdir(world.blobs), await readdir(world.staging)], [[], []])
  const victim = startVictim({ environment: env })
  try {
    const address = await victim.address
    for (const name of world.names.slice(0, 4)) {
      ledger.record({ name, form: 'oci', settings }, await pullImage(address, name))
    }
    assert.equal(await victim.stop(), 0)
    checkLog(victim)
  } finally {
    await victim.kill()
  }
  assert.deepEqual(await readdir(join(world.data, 'gcroots')), [])
  await untilGone(await processesWith(world.marks), maxOutlive)
  say(`world done: ${figures.kills} kills, no files left`)
}
