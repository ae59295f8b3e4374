import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { openCompressor } from './compressor.ts'
import { createPacker } from './pack.ts'

/** The nice value of a thread of this process (proc(5), `/proc/[pid]/stat`, field 19). */
const nicenessOf = (thread: string): number =>
  Number(
    readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[16],
  )

const isLinux = process.platform === 'linux'
it('packing threads have a lower priority than the main thread', { skip: !isLinux }, async () => {
  const spool = mkdtempSync(join(tmpdir(), 'nixery-priority-'))
  const before = getPriority()
  const packer = createPacker(spool, await openCompressor('gzip', assert.fail), { threads: 2 })
  try {
    // Packing waits until a thread has loaded.
    await Promise.all([packer.pack([]), packer.pack([])])
    const packing = readdirSync('/proc/self/task').filter((thread) =>
      readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').startsWith('pack '),
    )
    assert.equal(packing.length, 2)
    for (const thread of packing) assert.equal(nicenessOf(thread), Math.min(before + 5, 19))
    assert.equal(getPriority(), before)
  } finally {
    await packer.close()
    rmSync(spool, { recursive: true })
  }
})
