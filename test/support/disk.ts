import { execa } from 'execa'
import { until } from './until.ts'

/**
 * Makes a mounted file system read-only, which is impossible while a file on it is open for writing, such as one with which
 * a server checks its store. Needs root.
 */
export const makeReadOnly = (disk: string): Promise<void> =>
  until(async () => {
    const { failed, stderr } = await execa('mount', ['-o', 'remount,ro', disk], { reject: false })
    if (failed && !/busy/.test(stderr)) throw new Error(stderr)
    return !failed
  }, `no file on ${disk} is open for writing`)

/** Makes a file system writable again. */
export const makeWritable = (disk: string) => execa('mount', ['-o', 'remount,rw', disk])
