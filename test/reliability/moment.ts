import { watch } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogLine } from '../../scripts/server.ts'
import type { Random } from './random.ts'

/** When a server is killed: at a time, or just after something has happened for the nth time. */
export type Moment =
  | { readonly at: 'start'; readonly ms: number }
  | { readonly at: 'time'; readonly ms: number }
  | { readonly at: 'log'; readonly msg: string; readonly nth: number; readonly ms: number }
  | { readonly at: 'staged' | 'published'; readonly nth: number; readonly ms: number }
  | { readonly at: 'chunk'; readonly nth: number; readonly ms: number }

const steps = [
  'build started',
  'packages resolved',
  'packages realised',
  'layers planned',
  'layer packed',
  'build finished',
] as const

export function chooseMoment(random: Random): Moment {
  const nth = 1 + random.below(6)
  const ms = random.chance(0.5) ? 0 : random.below(40)
  switch (random.pick(['start', 'time', 'log', 'log', 'staged', 'published', 'published', 'chunk'])) {
    case 'start':
      return { at: 'start', ms: random.below(1500) }
    case 'time':
      return { at: 'time', ms: random.below(3000) }
    case 'staged':
      return { at: 'staged', nth, ms }
    case 'published':
      return { at: 'published', nth, ms }
    case 'chunk':
      return { at: 'chunk', nth: 1 + random.below(60), ms }
    default:
      return { at: 'log', msg: random.pick(steps), nth: 1 + random.below(3), ms }
  }
}

export const describeMoment = (moment: Moment): string =>
  [
    moment.at,
    ...('msg' in moment ? [`“${moment.msg}”`] : []),
    ...('nth' in moment ? [`no. ${moment.nth}`] : []),
    `+ ${moment.ms} ms`,
  ].join(' ')

/** Hears what happens, and comes back when it is time. */
export type Clock = {
  onLine(line: LogLine): void
  onChunk(): void
  /** Begins to watch the folders, which must be there. */
  begin(folders: { readonly staging: string; readonly blobs: string }): Promise<void>
}

// What never happens is not waited for longer than so many milliseconds.
const longest = 4_000

export function createClock(moment: Moment): Clock {
  const happened = Promise.withResolvers<void>()
  let count = 0
  const tell = () => {
    count += 1
    if ('nth' in moment && count === moment.nth) happened.resolve()
  }
  return {
    onLine(line) {
      if (moment.at === 'log' && line.msg === moment.msg) tell()
    },
    onChunk() {
      if (moment.at === 'chunk') tell()
    },
    async begin({ staging, blobs }) {
      if (moment.at === 'start' || moment.at === 'time') return sleep(moment.ms)
      // A folder tells of each file that comes, goes, or gets another name.
      const watcher =
        moment.at === 'staged' || moment.at === 'published'
          ? watch(moment.at === 'staged' ? staging : blobs, (event) => event === 'rename' && tell())
          : undefined
      await Promise.race([happened.promise, sleep(longest)])
      watcher?.close()
      if (moment.ms > 0) await sleep(moment.ms)
    },
  }
}
