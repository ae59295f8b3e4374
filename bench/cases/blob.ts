import { createHash } from 'node:crypto'
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { parseDigest, type Digest } from '../../src/image/digest.ts'
import { mediaTypes } from '../../src/image/oci.ts'
import { openState } from '../../src/state.ts'
import { atLeast, type Case, type Row } from '../case.ts'
import { digestServed } from '../client.ts'
import { overBlocks, receive, withChild } from '../floors.ts'
import { makeBytes, seeded } from '../seed.ts'

/** Writes a file of seeded bytes. */
function writeBlob(file: string, size: number): void {
  const below = seeded(5)
  const pool = makeBytes(below)
  const descriptor = openSync(file, 'wx')
  for (let left = size; left > 0;) left -= writeSync(descriptor, pool, 0, Math.min(left, pool.length))
  closeSync(descriptor)
}

/** Adds a file to the store of a server with this environment, and returns its digest. */
async function publish(file: string, size: number, environment: Record<string, string>): Promise<Digest> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  const digest = parseDigest(`sha256:${hash.digest('hex')}`)
  const state = await openState(readConfig(environment), { warn: () => {} })
  try {
    await state.blobs.publish({ digest, size, mediaType: mediaTypes.oci.layer.gzip }, { file })
  } finally {
    await state.close()
  }
  return digest
}

export const blob: Case = {
  name: 'blob',
  what:
    'One blob from one server process to one client that only counts bytes, over a new connection each time, from ' +
    'the page cache. The floors: `cat` of a file of the same size into the socket of the same client, and sha256 of ' +
    'the same bytes on one core, which every client has to compute.',
  async run(context): Promise<Row[]> {
    const { signal, runs } = context
    const size = (context.quick ? 128 : 1024) * 1024 * 1024
    const folder = await context.folder('files')
    const environment = context.environment(await context.folder('data'))
    const copy = join(folder, 'copy')
    const file = join(folder, 'blob')
    context.say('writing the blob')
    writeBlob(copy, size)
    writeBlob(file, size)
    const digest = await publish(file, size, environment)

    const server = await context.serve(environment)
    const rounds = runs * 2
    context.say(`${rounds} downloads`)
    const request = `GET /v2/shell/git/blobs/${digest} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    const served = await receive({ port: server.port, request, size, rounds }, signal)
    const actual = await digestServed(server, `/v2/shell/git/blobs/${digest}`)
    if (actual !== digest) throw new Error(`the blob ${digest} was actual as ${actual}`)
    await server.stop()

    context.say('floors')
    const catted = await withChild('cat', [copy], signal, (port) =>
      receive({ port, request: '', size, rounds }, signal),
    )
    const hashed = await overBlocks(
      { what: 'sha256', paths: [copy], threads: 1, rounds: runs, limit: 256 * 1024 * 1024 },
      context,
    )
    const rate = (ms: readonly number[], bytes: number) => ms.map((each) => (bytes / each) * 1000)
    return [
      {
        name: `blob of ${size / 1024 ** 2} MiB, one connection`,
        unit: 'bytes/s',
        values: rate(served, size),
        target: atLeast(1.2e9),
        floors: [
          { name: 'cat into the same socket', values: rate(catted, size) },
          { name: 'sha256, one core', values: rate(hashed.ms, hashed.bytes) },
        ],
      },
    ]
  },
}
