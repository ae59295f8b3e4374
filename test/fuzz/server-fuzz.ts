import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import pLimit from 'p-limit'
import type { LogLine } from '../../scripts/server.ts'
import { isError } from '../support/log.ts'
import { memoryOf, openFiles } from '../reliability/processes.ts'
import { pullImage } from '../reliability/puller.ts'
import { startVictim } from '../reliability/victim.ts'
import type { Workspace } from '../support/workspace.ts'
import { corpus } from './corpus.ts'
import { judge } from './judge.ts'
import { requests } from './requests.ts'
import { answersIn, converse } from './wire.ts'
import { until } from '../support/until.ts'

export type FuzzFigures = {
  requests: number
  /** Connections over which at least one answer came, besides that to the last request. */
  answers: number
  readonly statuses: Record<string, number>
  /** What was asked for, as the log has it. */
  readonly kinds: Record<string, number>
  /** Connections that the server closed without a word. */
  wordless: number
  /** Whether the system would have told that a file beside the store was read, too. */
  readsAreNoted: boolean
  filesBefore: number
  filesAfter: number
  /** Megabytes. */
  memoryBefore: number
  memoryHalfway: number
  memoryAfter: number
  logLines: number
}

export type FuzzOptions = {
  readonly seed: number
  /** Besides the corpus. */
  readonly count: number
  readonly say?: (line: string) => void
}

const atOnce = 16
const megabyte = 1_000_000
// A heap grows at first, until it is cleaned; in the second half of a run by no more than this.
const mayGrow = 128 * megabyte

/**
 * Sends requests to a real server over a small package set, the corpus and then random ones, and judges all that
 * comes back, what it logs, and what it keeps.
 * @throws what is wrong, with the request that did it
 */
export async function fuzzServer(
  workspace: Workspace,
  { seed, count, say = () => {} }: FuzzOptions,
): Promise<FuzzFigures> {
  const data = join(workspace.folder, 'fuzzed')
  const set = await workspace.packageSet(
    'hello = script "hello" "echo hi"; nested = { inherit hello; recurseForDerivations = true; };',
  )
  const environment = { NIXERY_DATA: data, STORAGE_PATH: join(data, 'store'), NIXERY_PKGS_PATH: set }
  const server = startVictim({ environment })
  try {
    const address = await server.address
    const port = Number(address.split(':')[1])
    const { digest, parts } = await pullImage(address, 'hello')
    const digests = [digest, ...parts]
    const canaries = await placeCanaries([data, join(data, 'store'), workspace.folder])

    const figures = { requests: 0, answers: 0, wordless: 0, statuses: {} as Record<string, number> }
    const send = async (bytes: Buffer): Promise<void> => {
      const { bytes: heard, closed } = await converse(port, bytes)
      try {
        const answers = answersIn(heard)
        for (const answer of answers) {
          judge(answer, canaries.secret)
          figures.statuses[answer.status] = (figures.statuses[answer.status] ?? 0) + 1
        }
        figures.answers += answers.length
        if (answers.length === 0 && closed) figures.wordless += 1
      } catch (error) {
        throw new Error(`seed ${seed}: ${JSON.stringify(bytes.toString('latin1'))}: ${String(error)}`, {
          cause: error,
        })
      }
      figures.requests += 1
    }
    const sendAll = async (all: readonly Buffer[]) => {
      await pLimit(atOnce).map(all, send)
      assert.equal((await fetch(`http://${address}/v2/`)).status, 200) // by the same process
    }

    await sendAll(corpus.map((text) => Buffer.from(text.replaceAll('BLOB', parts[1] ?? ''), 'latin1')))
    const [filesBefore, memoryBefore] = [await openFiles(server.pid), await memoryOf(server.pid)]
    const each = 500
    let memoryHalfway = memoryBefore
    for (let sent = 0; sent < count; sent += each) {
      const numRuns = Math.min(each, count - sent)
      await sendAll(fc.sample(requests({ digests }), { seed: seed + sent, numRuns }))
      const memory = await memoryOf(server.pid)
      if (sent + each <= Math.max(count / 2, each)) memoryHalfway = memory
      if (sent % 5000 === 0) {
        const files = await openFiles(server.pid)
        say(`${figures.requests} requests sent; ${Math.round(memory / megabyte)} MB, ${files} open files`)
      }
    }
    await until(async () => (await openFiles(server.pid)) <= filesBefore + 5, 'its files are closed')
    const [filesAfter, memoryAfter] = [await openFiles(server.pid), await memoryOf(server.pid)]
    assert.ok(
      memoryAfter < memoryHalfway + mayGrow,
      `memory grew from ${memoryHalfway} to ${memoryAfter} bytes`,
    )
    const readsAreNoted = await canaries.check()
    assert.deepEqual((await pullImage(address, 'hello')).digest, digest)
    assert.equal(await server.stop(), 0)
    assert.deepEqual(server.stray.slice(0, 3), [])
    assert.deepEqual(server.log.filter(isError).slice(0, 3), [])
    return {
      ...figures,
      kinds: kindsIn(server.log),
      readsAreNoted,
      filesBefore,
      filesAfter,
      memoryBefore: Math.round(memoryBefore / megabyte),
      memoryHalfway: Math.round(memoryHalfway / megabyte),
      memoryAfter: Math.round(memoryAfter / megabyte),
      logLines: server.log.length,
    }
  } finally {
    await server.kill()
  }
}

function kindsIn(log: readonly LogLine[]): Record<string, number> {
  const kinds: Record<string, number> = {}
  for (const { msg, kind } of log) {
    if (msg === 'answered') kinds[String(kind)] = (kinds[String(kind)] ?? 0) + 1
  }
  return kinds
}

/** Files beside the store that nobody is to read; the system notes who does, if that is not turned off. */
async function placeCanaries(folders: readonly string[]) {
  const secret = randomUUID()
  const place = async (folder: string) => {
    const file = join(folder, 'canary')
    await writeFile(file, secret)
    // With `relatime` the time of reading changes only if it is before that of writing.
    await utimes(file, new Date(0), new Date())
    return file
  }
  const readAt = async (file: string) => (await stat(file)).atimeMs
  const files = await Promise.all(folders.map(place))
  return {
    secret,
    async check(): Promise<boolean> {
      for (const file of files) assert.equal(await readAt(file), 0, `${file} was read`)
      const [file = ''] = files
      await readFile(file)
      return (await readAt(file)) > 0
    },
  }
}
