import { join } from 'node:path'
import { execa } from 'execa'
import { mediaTypes } from '../src/image/oci.ts'

/** Measurements of clients that send the next request as soon as they have a response. */
export type Load = {
  /** Responses per second. */
  readonly rate: number
  /** Milliseconds: the median and the 99th percentile. */
  readonly p50: number
  readonly p99: number
}

const script = join(import.meta.dirname, 'wrk.lua')

/**
 * Requests one URL over several connections for some seconds, from one thread of `wrk`.
 * @param core the core on which `wrk` runs; any if undefined
 * @throws Error if a response was not 2xx or 3xx, or did not arrive
 */
export async function load(
  address: string,
  {
    clients,
    seconds,
    core,
    authorization,
  }: { clients: number; seconds: number; core?: number; authorization?: string },
  signal: AbortSignal,
): Promise<Load> {
  const how = ['--threads', '1', '--connections', String(clients), '--duration', `${seconds}s`, '--latency']
  const header = authorization === undefined ? [] : ['--header', `Authorization: ${authorization}`]
  const what = [...header, '--header', `Accept: ${mediaTypes.oci.manifest}`, '--script', script, address]
  const place = core === undefined ? [] : ['taskset', '--cpu-list', String(core)]
  const [program = '', ...args] = [...place, 'wrk', ...how, ...what]
  const { stdout } = await execa(program, args, { stdin: 'ignore', cancelSignal: signal })
  const line = stdout.split('\n').findLast((text) => text.startsWith('{'))
  const found = JSON.parse(line ?? '') as Record<'requests' | 'us' | 'p50' | 'p99' | 'failed', number>
  if (found.failed > 0) throw new Error(`${found.failed} of ${found.requests} requests to ${address} failed`)
  return { rate: (found.requests / found.us) * 1e6, p50: found.p50 / 1000, p99: found.p99 / 1000 }
}
