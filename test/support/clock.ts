import { globSync } from 'node:fs'

const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')

/**
 * The environment for a process tree whose clock is ahead by a number of hours, or behind if negative. Only the time
 * of day differs; timers run as usual.
 */
export const clockAhead = (hours: number): Readonly<Record<string, string>> =>
  library === undefined || hours === 0
    ? {}
    : {
        LD_PRELOAD: library,
        FAKETIME: `${hours > 0 ? '+' : '-'}${Math.abs(hours)}h`,
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      }
