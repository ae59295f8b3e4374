import { watch } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogLine } from '../../scripts/server.ts'
import type { Random } from './random.ts'

/** When to kill a server: at a time, or `ms` after the nth occurrence of an event. */
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

/** Waits for the moment. */
export type Trigger = {
  onLine(line: LogLine): void
  onChunk(): void
  /** Resolves at the moment. The folders must exist. */
  wait(folders: { readonly staging: string; readonly blobs: string }): Promise<void>
}

// In ms: the wait for an event that may never happen.
const longest = 4_000

export function createTrigger(moment: Moment): Trigger {
  const happened = Promise.withResolvers<void>()
  let count = 0
  const countEvent = () => {
    count += 1
    if ('nth' in moment && count === moment.nth) happened.resolve()
  }
  return {
    onLine(line) {
      if (moment.at === 'log' && line.msg === moment.msg) countEvent()
    },
    onChunk() {
      if (moment.at === 'chunk') countEvent()
    },
    async wait({ staging, blobs }) {
      if (moment.at === 'start' || moment.at === 'time') return sleep(moment.ms)
      // `rename` events report created, deleted and renamed files.
      const watcher =
        moment.at === 'staged' || moment.at === 'published'
          ? watch(moment.at === 'staged' ? staging : blobs, (event) => event === 'rename' && countEvent())
          : undefined
      await Promise.race([happened.promise, sleep(longest)])
      watcher?.close()
      if (moment.ms > 0) await sleep(moment.ms)
    },
  }
}
