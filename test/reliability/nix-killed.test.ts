import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerProcess } from '../../scripts/server.ts'
import { environmentOfNix } from '../../src/nix/testing.ts'
import { createGate } from '../support/gate.ts'
import { until } from '../support/until.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from '../support/workspace.ts'
import { processesWith, untilGone, type ProcessInfo } from './processes.ts'
import { pullImage } from './puller.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

/** Waits until a matching process runs. */
async function untilRunning(
  variable: string,
  matches: (process: ProcessInfo) => boolean = () => true,
): Promise<ProcessInfo[]> {
  for (let tries = 0; tries < 600; tries += 1) {
    const running = (await processesWith([variable])).filter(matches)
    if (running.length > 0) return running
    await sleep(50)
  }
  throw new Error(`no process has ${variable}`)
}

/** The environment variable that identifies the builders of a package set. */
async function builderMark(set: string): Promise<string> {
  const text = await readFile(join(set, 'default.nix'), 'utf8')
  return `unique=${/unique = "(?<text>[^"]+)"/.exec(text)?.groups?.['text'] ?? ''}`
}

/** Whether a process accepts connections on a socket. */
async function accepts(socket: string): Promise<boolean> {
  const connection = connect(socket)
  try {
    await once(connection, 'connect')
    return true
  } catch {
    return false
  } finally {
    connection.destroy()
  }
}

const killAll = (processes: readonly ProcessInfo[]) => {
  for (const { pid } of processes) process.kill(pid, 'SIGKILL')
}

describe('the daemon of Nix', () => {
  /** Starts a daemon. The returned function kills it and its child processes for clients. */
  const startDaemon = async (socket: string) => {
    const env = { ...(await environmentOfNix()), NIX_DAEMON_SOCKET_PATH: socket }
    const daemon = spawn('nix-daemon', { env, stdio: 'ignore' })
    const ended = once(daemon, 'exit')
    // A killed daemon leaves its socket file behind, so waiting for the file would not suffice.
    await until(() => accepts(socket), 'the daemon listens')
    return async () => {
      killAll(await processesWith([`NIX_DAEMON_SOCKET_PATH=${socket}`]))
      await ended
    }
  }

  it('that is killed during a build fails this pull with 503, but no later one', async () => {
    const socket = join(workspace.folder, 'socket')
    const gate = createGate()
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      slow = run "slow" "${gate.wait}; mkdir -p $out/bin; echo x > $out/bin/slow";
    `)
    let kill = await startDaemon(socket)
    try {
      const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIX_REMOTE: `unix://${socket}` })
      const hello = await pullImage(server.address, 'hello')
      const failing = failureOf(server, 'slow')
      const builders = await untilRunning(await builderMark(set))
      await kill()
      const failure = await failing
      assert.deepEqual([failure.status, failure.code], [503, 'UNKNOWN'], failure.message)
      assert.match(failure.message, /Nix cannot work here/)
      gate.open()
      await untilGone(builders, 30)

      // Without a daemon, known images are served, and other pulls fail.
      assert.deepEqual(await pullImage(server.address, 'hello'), hello)
      assert.equal((await failureOf(server, 'slow')).status, 503)

      kill = await startDaemon(socket)
      await pullImage(server.address, 'slow')
      assert.deepEqual(await pullImage(server.address, 'hello'), hello)
    } finally {
      await kill()
      gate.dispose()
    }
  })
})

describe('the evaluator', () => {
  const metric = async ({ address }: ServerProcess, name: string) => {
    const text = await (await fetch(`http://${address}/metrics`)).text()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
  const isEvaluator = ({ command }: ProcessInfo) => / repl /.test(command)

  it('that is killed, busy or idle, fails no pull', async (t) => {
    const gate = createGate()
    t.after(() => gate.dispose())
    const data = join(workspace.folder, 'evaluated')
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      late = builtins.seq (import (run "late.nix" "${gate.wait}; echo 1 > $out")) hello;
      ${Array.from({ length: 8 }, (_, n) => `other${n} = script "other${n}" "echo ${n}";`).join('\n')}
    `)
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      // Identifies this test's Nix processes, which inherit no other variable that could.
      NIXERY_NIX_ENV: 'TEST_WORLD',
      TEST_WORLD: data,
    })
    const pull = async (name: string) => {
      const { response, text } = await requestV2(server, `${name}/manifests/latest`)
      assert.equal(response.status, 200, text)
      return text
    }
    const hello = await pull('hello')
    const late = pull('late')
    await untilRunning(await builderMark(set)) // the evaluation waits for this builder
    killAll(await untilRunning(`TEST_WORLD=${data}`, isEvaluator))
    gate.open()
    assert.equal(await late, hello)

    await pull('other0')
    killAll(await untilRunning(`TEST_WORLD=${data}`, isEvaluator))
    await Promise.all(Array.from({ length: 7 }, (_, n) => pull(`other${n + 1}`)))
    assert.ok((await metric(server, 'nixery_evaluators_restarted_total')) >= 2)
    assert.equal(await server.stop(), 0)
    await untilGone(await processesWith([`TEST_WORLD=${data}`]), 30)
  })
})
