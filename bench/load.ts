import { join } from 'node:path'
import { execa } from 'execa'
import { mediaTypes } from '../src/image/oci.ts'

/** What a number of clients got that ask again as soon as they are answered. */
export type Load = {
  /** Answers a second. */
  readonly rate: number
  /** Milliseconds within which half, and 99 of 100, were answered. */
  readonly p50: number
  readonly p99: number
}

const script = join(import.meta.dirname, 'wrk.lua')

/**
 * Asks for one address over so many connections for some seconds, from one thread of `wrk`.
 * @param core the one on which `wrk` runs, instead of any
 * @throws Error when any answer was not 2xx or 3xx, or did not come
 */
export async function load(
  address: string,
  { clients, seconds, core }: { clients: number; seconds: number; core?: number },
  signal: AbortSignal,
): Promise<Load> {
  const how = ['--threads', '1', '--connections', String(clients), '--duration', `${seconds}s`, '--latency']
  const what = ['--header', `Accept: ${mediaTypes.oci.manifest}`, '--script', script, address]
  const place = core === undefined ? [] : ['taskset', '--cpu-list', String(core)]
  const [program = '', ...args] = [...place, 'wrk', ...how, ...what]
  const { stdout } = await execa(program, args, { stdin: 'ignore', cancelSignal: signal })
  const line = stdout.split('\n').findLast((text) => text.startsWith('{'))
  const found = JSON.parse(line ?? '') as Record<'requests' | 'us' | 'p50' | 'p99' | 'failed', number>
  if (found.failed > 0) throw new Error(`${found.failed} of ${found.requests} requests to ${address} failed`)
  return { rate: (found.requests / found.us) * 1e6, p50: found.p50 / 1000, p99: found.p99 / 1000 }
}
