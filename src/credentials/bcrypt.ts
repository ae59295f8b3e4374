import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { BcryptJob } from './bcrypt.worker.ts'

type Thread = { readonly worker: Worker; answer: PromiseWithResolvers<boolean> | undefined }

/**
 * Checks passwords with bcrypt in threads, which start when needed and keep running. Make at most `threads` calls at
 * the same time.
 */
export function createBcrypt(threads: number): (job: BcryptJob) => Promise<boolean> {
  const running: Thread[] = []

  const startThread = (): Thread => {
    const worker = new Worker(new URL(`bcrypt.worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'bcrypt',
      execArgv: [], // the options of the process may be invalid for threads
    })
    const thread: Thread = { worker, answer: undefined }
    const remove = (error: unknown) => {
      const place = running.indexOf(thread)
      if (place !== -1) running.splice(place, 1)
      thread.answer?.reject(error)
      thread.answer = undefined
    }
    worker.on('message', (matches: boolean) => {
      worker.unref() // idle threads do not keep the process alive
      const { answer } = thread
      thread.answer = undefined
      answer?.resolve(matches)
    })
    worker.on('error', remove)
    worker.on('exit', () => remove(new Error('the thread that checks passwords has exited')))
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
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a Worker has no origin
    thread.worker.postMessage(job)
    return answer.promise
  }
}
