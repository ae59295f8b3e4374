import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { execa } from 'execa'
import { childrenOf, logStarts, noneStarted } from './processes.ts'

// Starts the given program, and reports when it runs and when it has exited.
const starter = `
  import { spawn } from 'node:child_process'
  process.on('message', ([what, ...command]) => {
    if (command.length === 0) return process.send('nothing')
    const child = spawn(command[0], command.slice(1), { stdio: 'ignore' })
    child.on(what, () => process.send(what))
  })
`

describe('the children of a process', () => {
  it('are listed while they run, and counted when they have exited', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-bench-test-'))
    const file = join(folder, 'starter.mjs')
    await writeFile(file, starter)
    const parent = fork(file)
    const tell = async (...message: string[]) => {
      const replied = once(parent, 'message')
      parent.send(message)
      await replied
    }
    try {
      await tell('nothing')
      const before = await childrenOf(parent.pid ?? 0)
      await tell('nothing')
      assert.ok(noneStarted(before, await childrenOf(parent.pid ?? 0)))

      await tell('exit', 'true')
      const ended = await childrenOf(parent.pid ?? 0)
      assert.ok(!noneStarted(before, ended))

      await tell('spawn', 'sleep', '60')
      const running = await childrenOf(parent.pid ?? 0)
      assert.ok(!noneStarted(ended, running))
      assert.ok(noneStarted(running, await childrenOf(parent.pid ?? 0)))
    } finally {
      for (const pid of (await childrenOf(parent.pid ?? 0)).running) process.kill(pid)
      parent.kill()
      await rm(folder, { recursive: true })
    }
  })
})

describe('starts of programs', () => {
  it('are logged, and the programs run', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-bench-test-'))
    try {
      const log = await logStarts(folder)
      assert.deepEqual(await log.starts(), [])
      const { stdout } = await execa('git', ['--version'], { env: log.environment })
      assert.match(stdout, /^git version/)
      assert.deepEqual(await log.starts(), ['git --version'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
