import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/**
 * Reads a whole index in a thread.
 * @returns whether it is complete and undamaged
 * @throws an error if that cannot be checked, because of this machine
 */
export async function isSound(file: string): Promise<boolean> {
  const script = new URL(`check.worker${extname(import.meta.filename)}`, import.meta.url)
  const worker = new Worker(script, { name: 'search index', execArgv: [], workerData: file })
  const [sound] = (await once(worker, 'message')) as [boolean]
  return sound
}
