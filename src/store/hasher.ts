import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { NixeryError, hasCode } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'
import type { HashAnswer, HashJob } from './hash.worker.ts'
import { storeError, type BlobStore } from './store.ts'

/** Hashes what is stored. */
export type Hasher = {
  /**
   * What the blob's bytes are now; undefined if it is not there. Files are read and hashed by threads of their own,
   * 1.2 GB a second each; what comes from a bucket is hashed as it comes.
   * @throws STORE_UNAVAILABLE; CANCELLED once it is closed
   */
  hash(digest: Digest): Promise<Content | undefined>
  close(): Promise<void>
}

/** Bytes, by what they are: `size` is how many. */
export type Content = { readonly digest: Digest; readonly size: number }

type Thread = { readonly worker: Worker; readonly jobs: Map<number, PromiseWithResolvers<HashAnswer>> }

/** @param threads how many files are hashed at once; threads are started when they are needed */
export function createHasher(store: Pick<BlobStore, 'file' | 'read'>, threads = 2): Hasher {
  const running: Thread[] = []
  let count = 0
  let closed = false
  const cancelled = () => new NixeryError('CANCELLED', 'hashing was ended')

  const startThread = (): Thread => {
    const worker = new Worker(new URL(`hash.worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'hash',
      execArgv: [], // what the process was started with may not be for threads
    })
    const jobs: Thread['jobs'] = new Map()
    const thread = { worker, jobs }
    const lose = (error: unknown) => {
      running.splice(running.indexOf(thread), 1)
      for (const job of jobs.values()) job.reject(error)
      jobs.clear()
    }
    worker.on('message', (answer: HashAnswer) => {
      const job = jobs.get(answer.id)
      jobs.delete(answer.id)
      // Only work keeps the process alive.
      if (jobs.size === 0 && !closed) worker.unref()
      job?.resolve(answer)
    })
    worker.on('error', lose)
    worker.on('exit', () => running.includes(thread) && lose(cancelled()))
    running.push(thread)
    return thread
  }
  const hashFile = async (file: string): Promise<Content | undefined> => {
    if (closed) throw cancelled()
    const idle = running.find(({ jobs }) => jobs.size === 0)
    const least = running.toSorted((a, b) => a.jobs.size - b.jobs.size)[0]
    const thread = idle ?? (running.length < threads || !least ? startThread() : least)
    const job: HashJob = { id: (count += 1), file }
    const answered = Promise.withResolvers<HashAnswer>()
    thread.jobs.set(job.id, answered)
    thread.worker.ref()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that of a thread has none
    thread.worker.postMessage(job)
    const answer = await answered.promise
    if ('digest' in answer) return { digest: answer.digest, size: answer.size }
    if (answer.code === 'ENOENT') return undefined
    throw storeError(Object.assign(new Error(answer.code), { code: answer.code }), 'hashing a blob')
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
      // `terminate` lets the thread keep the process until it has ended.
      await Promise.all(all.map(({ worker }) => worker.terminate()))
    },
  }
}
