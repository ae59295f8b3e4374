import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { execa } from 'execa'
import { createLines } from './lines.ts'
import { until } from '../../test/support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'nixery-lines-'))
after(() => rmSync(folder, { recursive: true }))

const inFile = (name: string) => {
  const path = join(folder, name)
  const fd = openSync(path, 'w')
  return { lines: createLines(fd), read: () => readFileSync(path, 'utf8'), close: () => closeSync(fd) }
}

describe('lines', () => {
  it('are written immediately if there is one, and completely and in order if there are many', async () => {
    const { lines, read, close } = inFile('many')
    let expected = ''
    for (const count of [1, 2, 1000, 1]) {
      for (let line = 0; line < count; line += 1) {
        const text = `line ${line} of ${count}, é\n`
        lines.write(text)
        expected += text
        if (count === 1) assert.equal(read(), expected)
      }
      await nextTurn()
      await until(() => read().length >= expected.length, 'all lines are written')
      assert.equal(read(), expected)
      await nextTurn()
    }
    close()
  })

  it('are written when they are flushed', () => {
    const { lines, read, close } = inFile('flushed')
    for (const text of ['a\n', 'b\n', 'c\n']) lines.write(text)
    assert.equal(read(), 'a\n')
    lines.flush()
    assert.equal(read(), 'a\nb\nc\n')
    close()
  })

  it('all reach a reader that is slower than the exiting process', async () => {
    const module = join(import.meta.dirname, 'lines.ts')
    const program = `
      import { createLines } from ${JSON.stringify(module)}
      const lines = createLines(1)
      process.stdout.isTTY // accessing stdout makes a pipe non-blocking
      process.on('exit', () => lines.flush())
      for (let line = 0; line < 20_000; line += 1) lines.write(line + ' ' + 'x'.repeat(100) + '\\n')
      process.stderr.write('ends')`
    const node = spawn(process.execPath, ['--input-type=module', '-e', program])
    await once(node.stderr, 'data')
    const read = await readAll(node.stdout)
    assert.equal(read.split('\n').length, 20_001)
    assert.match(read, /\n19999 x{100}\n$/)
  })

  it('are lost without a reader, and do not block the process', async () => {
    const module = join(import.meta.dirname, 'lines.ts')
    const program = `
      import { createLines } from ${JSON.stringify(module)}
      const lines = createLines(1)
      let turns = 0
      const timer = setInterval(() => {
        for (let line = 0; line < 1000; line += 1) lines.write('x'.repeat(100) + '\\n')
        turns += 1
        if (turns === 20) { clearInterval(timer); process.stderr.write('done'); process.exit(0) }
      }, 1)`
    const node = execa(process.execPath, ['--input-type=module', '-e', program], {
      buffer: { stdout: false },
    })
    node.stdout.destroy() // the reader closes the pipe
    assert.equal((await node).stderr, 'done')
  })
})
