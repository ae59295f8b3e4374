import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { NixeryError, hasCode } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'
import type { HashResult, HashJob } from './hash.worker.ts'
import { storeError, type BlobStore } from './store.ts'

/** Hashes stored blobs. */
export type Hasher = {
  /**
   * Hashes the current bytes of a blob; returns undefined if it does not exist. Files are hashed in threads, 1.2 GB a
   * second each; objects of a bucket are hashed while they are downloaded.
   * @throws STORE_UNAVAILABLE; CANCELLED when the hasher is closed
   */
  hash(digest: Digest): Promise<Content | undefined>
  close(): Promise<void>
}

/** The digest and size of a blob's bytes. */
export type Content = { readonly digest: Digest; readonly size: number }

type Thread = { readonly worker: Worker; readonly jobs: Map<number, PromiseWithResolvers<HashResult>> }

/** @param threads the number of files hashed at once; threads start when they are needed */
export function createHasher(store: Pick<BlobStore, 'file' | 'read'>, threads = 2): Hasher {
  const running: Thread[] = []
  let count = 0
  let closed = false
  const cancelled = () => new NixeryError('CANCELLED', 'hashing was cancelled')

  const startThread = (): Thread => {
    const worker = new Worker(new URL(`hash.worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'hash',
      execArgv: [], // options of the process may be invalid for threads
    })
    const jobs: Thread['jobs'] = new Map()
    const thread = { worker, jobs }
    const fail = (error: unknown) => {
      running.splice(running.indexOf(thread), 1)
      for (const job of jobs.values()) job.reject(error)
      jobs.clear()
    }
    worker.on('message', (result: HashResult) => {
      const job = jobs.get(result.id)
      jobs.delete(result.id)
      // Only work keeps the process alive.
      if (jobs.size === 0 && !closed) worker.unref()
      job?.resolve(result)
    })
    worker.on('error', fail)
    worker.on('exit', () => running.includes(thread) && fail(cancelled()))
    running.push(thread)
    return thread
  }
  const hashFile = async (file: string): Promise<Content | undefined> => {
    if (closed) throw cancelled()
    const idle = running.find(({ jobs }) => jobs.size === 0)
    const least = running.toSorted((a, b) => a.jobs.size - b.jobs.size)[0]
    const thread = idle ?? (running.length < threads || !least ? startThread() : least)
    const job: HashJob = { id: (count += 1), file }
    const response = Promise.withResolvers<HashResult>()
    thread.jobs.set(job.id, response)
    thread.worker.ref()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a Worker has no origin
    thread.worker.postMessage(job)
    const result = await response.promise
    if ('digest' in result) return { digest: result.digest, size: result.size }
    if (result.code === 'ENOENT') return undefined
    throw storeError(Object.assign(new Error(result.code), { code: result.code }), 'hashing a blob')
  }
  const hashStream = async (digest: Digest): Promise<Content | undefined> => {
    const hash = digester()
    let size = 0
    try {
      for await (const chunk of (await store.read(digest)) as AsyncIterable<Buffer>) {
        if (closed) throw cancelled()
        hash.update(chunk)
        size += chunk.length
      }
    } catch (error) {
      if (hasCode(error, 'BLOB_UNKNOWN')) return undefined
      throw error
    }
    return { digest: hash.digest(), size }
  }

  return {
    hash(digest) {
      const file = store.file?.(digest)
      return file === undefined ? hashStream(digest) : hashFile(file)
    },
    async close() {
      closed = true
      const all = running.splice(0)
      for (const { jobs } of all) for (const job of jobs.values()) job.reject(cancelled())
      // `terminate` keeps the process alive until the thread has exited.
      await Promise.all(all.map(({ worker }) => worker.terminate()))
    },
  }
}
