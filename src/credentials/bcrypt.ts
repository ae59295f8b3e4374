import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { BcryptJob } from './bcrypt.worker.ts'

type Thread = { readonly worker: Worker; answer: PromiseWithResolvers<boolean> | undefined }

/**
 * Checks passwords by bcrypt in threads that are started when they are needed, and stay. Call it no more often than
 * `threads` times at once.
 */
export function createBcrypt(threads: number): (job: BcryptJob) => Promise<boolean> {
  const running: Thread[] = []

  const startThread = (): Thread => {
    const worker = new Worker(new URL(`bcrypt.worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'bcrypt',
      execArgv: [], // what the process was started with may not be for threads
    })
    const thread: Thread = { worker, answer: undefined }
    const lose = (error: unknown) => {
      const place = running.indexOf(thread)
      if (place !== -1) running.splice(place, 1)
      thread.answer?.reject(error)
      thread.answer = undefined
    }
    worker.on('message', (isRight: boolean) => {
      worker.unref() // only work keeps the process alive
      const { answer } = thread
      thread.answer = undefined
      answer?.resolve(isRight)
    })
    worker.on('error', lose)
    worker.on('exit', () => lose(new Error('the thread that checks passwords has ended')))
    running.push(thread)
    return thread
  }

  return (job) => {
    const idle = running.find(({ answer }) => answer === undefined)
    if (!idle && running.length >= threads) throw new Error(`more than ${threads} passwords at once`)
    const thread = idle ?? startThread()
    const answer = Promise.withResolvers<boolean>()
    thread.answer = answer
    thread.worker.ref()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that of a thread has none
    thread.worker.postMessage(job)
    return answer.promise
  }
}
