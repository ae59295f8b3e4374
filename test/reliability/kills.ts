import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runNixery } from '../support/command.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'
import { noFigures, openLedger, type Figures, type Ledger } from './ledger.ts'
import { cleanMeanwhile, pullUntilKilled } from './load.ts'
import { chooseMoment, createClock, describeMoment } from './moment.ts'
import { processesWith, untilGone, type Seen } from './processes.ts'
import { pullImage } from './puller.ts'
import { createRandom, type Random } from './random.ts'
import { startVictim, type Victim } from './victim.ts'
import { age, chooseSettings, contentOf, openWorld, type Settings, type World } from './world.ts'
import { isError } from '../support/log.ts'

export type KillOptions = {
  readonly seed: number
  readonly kills: number
  /** After so many a new store is begun, so that there is something to build. */
  readonly perWorld: number
  /** The folder of the demo package set. */
  readonly demo: string
  readonly say: (line: string) => void
}

// A process that outlives its server ends with what it was at: a builder here takes 3 s at most.
const mayOutlive = 30

/** All that one round needs. */
type Round = {
  readonly world: World
  readonly ledger: Ledger
  readonly figures: Figures
  readonly random: Random
  readonly say: (line: string) => void
}

/**
 * Kills servers at moments that the seed chooses, each over what the killed ones before it have left, and looks after
 * each restart at everything that must hold.
 * @throws what does not hold
 */
export async function runKills({ seed, kills, perWorld, demo, say }: KillOptions): Promise<Figures> {
  const random = createRandom(seed)
  const figures = noFigures()
  while (figures.kills < kills) {
    const workspace = await openWorkspace()
    try {
      await inOneWorld(workspace, Math.min(perWorld, kills - figures.kills), demo, { random, figures, say })
    } catch (error) {
      throw new Error(`seed ${seed}, behind kill ${figures.kills}: ${String(error)}`, { cause: error })
    } finally {
      await workspace.dispose()
    }
  }
  return figures
}

async function inOneWorld(
  workspace: Workspace,
  kills: number,
  demo: string,
  { random, figures, say }: Pick<Round, 'random' | 'figures' | 'say'>,
): Promise<void> {
  const world = await openWorld(workspace, join(workspace.folder, 'data'), demo)
  const round = { world, figures, random, say, ledger: openLedger(world, figures) }
  let orphans: readonly Seen[] = []
  try {
    for (let count = 0; count < kills; count += 1) orphans = await killOnce(round, orphans)
    await untilGone(orphans, mayOutlive)
    await finish(round)
  } finally {
    for (const { pid } of await processesWith(world.marks)) process.kill(pid, 'SIGKILL')
  }
}

/** @param orphans what the server before has left running @returns the same of this one */
async function killOnce(round: Round, orphans: readonly Seen[]): Promise<readonly Seen[]> {
  const { world, ledger, figures, random, say } = round
  const settings = chooseSettings(random, random.chance(0.2))
  const moment = chooseMoment(random)
  const clock = createClock(moment)
  const isOld = figures.kills > 0 && random.chance(0.15) && (await contentOf(world.blobs)).count > 0
  const cleaning = isOld || random.chance(0.15)
  if (isOld) {
    await untilGone(orphans, mayOutlive)
    await age(world, 3)
    ledger.old(true)
  }
  if (cleaning) ledger.cleaning()
  const victim = startVictim({
    environment: world.environment(settings),
    onLine: (line) => clock.onLine(line),
  })
  try {
    if (moment.at !== 'start') {
      const address = await victim.address
      await ledger.check(address, settings)
      await untilGone(orphans, mayOutlive)
    }
    const killed = clock.begin(world).then(() => victim.kill())
    const deps = { ...round, settings, onChunk: () => clock.onChunk() }
    const work = [
      killed,
      ...(moment.at === 'start' ? [] : [pullUntilKilled(deps, victim, cleaning)]),
      ...(cleaning ? [cleanMeanwhile(deps)] : []),
    ]
    await killed
    ledger.killed()
    const left = await processesWith(world.marks)
    const since = performance.now()
    const gone = untilGone(left, mayOutlive).then(() => performance.now() - since)
    gone.catch(() => {}) // the next round looks again
    for (const each of await Promise.allSettled(work)) if (each.status === 'rejected') throw each.reason
    checkLog(victim)
    ledger.old(false)
    const staged = await contentOf(world.staging)
    figures.kills += 1
    figures.outlived += left.length
    figures.longestOutlived = Math.max(figures.longestOutlived, left.length > 0 ? await gone : 0)
    figures.mostLeft = Math.max(figures.mostLeft, staged.count)
    figures.mostLeftBytes = Math.max(figures.mostLeftBytes, staged.bytes)
    say(
      `kill ${figures.kills}: ${describeMoment(moment)}; ${describeSettings(settings)}` +
        `${isOld ? ', aged' : ''}${cleaning ? ', gc' : ''}; ${figures.answered} answered, ` +
        `${figures.cutOff} cut off, ${figures.hashed} blobs hashed, ${left.length} outlived, ${staged.count} left`,
    )
    return left
  } finally {
    await victim.kill()
  }
}

const describeSettings = ({ maxLayers, compression, demo }: Settings): string =>
  `${maxLayers} layers, ${compression}${demo ? ', demo set' : ''}`

/** Nothing of the catalog was damaged, and no bug was met. */
function checkLog({ log, stray }: Victim): void {
  assert.deepEqual(stray, [])
  const bad = log.filter((line) => isError(line) || /damaged|not used for a while/.test(line.msg))
  assert.deepEqual(bad, [])
}

/** What kills have left behind can be cleaned away, all of it, and everything can be made again, as it was. */
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
  ledger.old(true)
  const settings = chooseSettings(random, false)
  const env = world.environment(settings)
  const cleaned = await runNixery(world.data, world.packages, ['gc', '--keep', '1'], { env })
  assert.equal(cleaned.exitCode, 0, cleaned.stderr)
  assert.deepEqual([await readdir(world.blobs), await readdir(world.staging)], [[], []])
  const victim = startVictim({ environment: env })
  try {
    const address = await victim.address
    for (const name of world.names.slice(0, 4)) {
      ledger.answered({ name, form: 'oci', settings }, await pullImage(address, name))
    }
    assert.equal(await victim.stop(), 0)
    checkLog(victim)
  } finally {
    await victim.kill()
  }
  assert.deepEqual(await readdir(join(world.data, 'gcroots')), [])
  await untilGone(await processesWith(world.marks), mayOutlive)
  say(`world done: ${figures.kills} kills, nothing left behind`)
}
