import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { until } from '../../test/support/until.ts'
import { openBench, type Bench } from './testing.ts'

describe('outputs that are already valid', () => {
  let bench: Bench
  const config = process.env['NIX_CONFIG']
  before(async () => {
    process.env['NIX_CONFIG'] = 'sandbox = false' // the builder waits for a file
    bench = await openBench()
  })
  after(async () => {
    if (config === undefined) delete process.env['NIX_CONFIG']
    else process.env['NIX_CONFIG'] = config
    await bench.close()
  })

  it('are protected while builds occupy all slots, and other outputs wait for one', async () => {
    const nix = bench.limited({ concurrency: 1 })
    const [started, end] = [join(bench.folder, 'started'), join(bench.folder, 'end')]
    const wanted = await bench.packages(
      `one = run "one" "echo > $out"; two = run "two" "echo > $out"; new = run "new" "echo > $out";
       slow = run "slow" "echo > ${started}; while ! [ -e ${end} ]; do /bin/sleep 0.1; done; echo > $out";`,
      'one',
      'two',
      'slow',
      'new',
    )
    const [one, two, slow, fresh] = wanted
    assert.ok(one && two && slow && fresh)
    await nix.withRealised([one, two], {}, async () => 'built')

    const done: string[] = []
    const building = nix.withRealised([slow], {}, async () => void done.push('slow'))
    await until(() => existsSync(started), 'the builder has started')
    let starts = 0
    const watch = { onBegin: () => void (starts += 1) }
    await nix.withRealised([two, one], watch, async (missing) => {
      assert.deepEqual(missing, [two, one])
      const removal = await execa('nix-store', ['--delete', one.outputPath], { reject: false })
      assert.match(removal.stderr, /still alive/)
      done.push('valid')
    })
    assert.equal(starts, 1)
    const waiting = nix.withRealised([one, fresh], {}, async () => void done.push('new'))
    await writeFile(end, '')
    await Promise.all([building, waiting])
    assert.deepEqual(done, ['valid', 'slow', 'new'])
  })
})
