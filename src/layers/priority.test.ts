import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { systemErrorCode } from '../errors.ts'
import { openCompressor } from './compressor.ts'
import { createPacker } from './pack.ts'
import { until } from '../../test/support/until.ts'

/** The nice value of a thread of this process (proc(5), `/proc/[pid]/stat`, field 19). */
const nicenessOf = (thread: string): number =>
  Number(
    readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[16],
  )

/** The packing threads of this process; other tests in it may have some that are just ending. */
const packingThreads = (): string[] =>
  readdirSync('/proc/self/task').filter((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').startsWith('pack ')
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return false
      throw error
    }
  })

const isLinux = process.platform === 'linux'
it('packing threads have a lower priority than the main thread', { skip: !isLinux }, async () => {
  const spool = mkdtempSync(join(tmpdir(), 'nixery-priority-'))
  const before = getPriority()
  const others = new Set(packingThreads())
  const packer = createPacker(spool, await openCompressor('gzip', assert.fail), { threads: 2 })
  try {
    await packer.pack([])
    const expected = Math.min(before + 5, 19)
    const isLower = (thread: string) => !others.has(thread) && nicenessOf(thread) === expected
    await until(() => packingThreads().filter(isLower).length === 2, 'both threads have loaded')
    assert.equal(getPriority(), before)
  } finally {
    await packer.close()
    rmSync(spool, { recursive: true })
  }
})
