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
import { checkResponse } from './check-response.ts'
import { requests } from './requests.ts'
import { exchange, parseResponses } from './wire.ts'
import { until } from '../support/until.ts'

export type FuzzFigures = {
  requests: number
  /** The responses to all requests, including the closing request of each connection. */
  responses: number
  readonly statuses: Record<string, number>
  /** The number of requests of each kind, according to the log. */
  readonly kinds: Record<string, number>
  /** The number of connections that the server closed without a response. */
  closedWithoutResponse: number
  /** Whether access times would have shown a read of a file outside the store. */
  detectsReads: boolean
  filesBefore: number
  filesAfter: number
  /** In MB, like the following two. */
  memoryBefore: number
  memoryHalfway: number
  memoryAfter: number
  logLines: number
}

export type FuzzOptions = {
  readonly seed: number
  /** The number of random requests, in addition to the corpus. */
  readonly count: number
  readonly say?: (line: string) => void
}

const connections = 16
const megabyte = 1_000_000
// In bytes: the heap grows until its first full collection, but in the second half of a run by less than this.
const maxGrowth = 128 * megabyte

/**
 * Sends the corpus and random requests to a real server with a small package set, and checks all responses, the log, and
 * the server's memory and open files.
 * @throws Error with the request that caused it
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
    const { digest, blobs } = await pullImage(address, 'hello')
    const digests = [digest, ...blobs]
    const canaries = await placeCanaries([data, join(data, 'store'), workspace.folder])

    const figures = {
      requests: 0,
      responses: 0,
      closedWithoutResponse: 0,
      statuses: {} as Record<string, number>,
    }
    const send = async (bytes: Buffer): Promise<void> => {
      const { bytes: received, closed } = await exchange(port, bytes)
      try {
        const responses = parseResponses(received)
        for (const response of responses) {
          checkResponse(response, canaries.secret)
          figures.statuses[response.status] = (figures.statuses[response.status] ?? 0) + 1
        }
        figures.responses += responses.length
        if (responses.length === 0 && closed) figures.closedWithoutResponse += 1
      } catch (error) {
        throw new Error(`seed ${seed}: ${JSON.stringify(bytes.toString('latin1'))}: ${String(error)}`, {
          cause: error,
        })
      }
      figures.requests += 1
    }
    const sendAll = async (all: readonly Buffer[]) => {
      await pLimit(connections).map(all, send)
      assert.equal((await fetch(`http://${address}/v2/`)).status, 200) // still the same process
    }

    await sendAll(corpus.map((text) => Buffer.from(text.replaceAll('BLOB', blobs[1] ?? ''), 'latin1')))
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
    await until(async () => (await openFiles(server.pid)) <= filesBefore + 5, 'the server closes its files')
    const [filesAfter, memoryAfter] = [await openFiles(server.pid), await memoryOf(server.pid)]
    assert.ok(
      memoryAfter < memoryHalfway + maxGrowth,
      `memory grew from ${memoryHalfway} to ${memoryAfter} bytes`,
    )
    const detectsReads = await canaries.check()
    assert.deepEqual((await pullImage(address, 'hello')).digest, digest)
    assert.equal(await server.stop(), 0)
    assert.deepEqual(server.stray.slice(0, 3), [])
    assert.deepEqual(server.log.filter(isError).slice(0, 3), [])
    return {
      ...figures,
      kinds: kindsIn(server.log),
      detectsReads,
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

/** Places files outside the store. Their access times show whether the server read them, unless mounted with noatime. */
async function placeCanaries(folders: readonly string[]) {
  const secret = randomUUID()
  const place = async (folder: string) => {
    const file = join(folder, 'canary')
    await writeFile(file, secret)
    // With `relatime`, a read updates the access time only if it is older than the modification time.
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
