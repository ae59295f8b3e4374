import { MessagePort, workerData } from 'node:worker_threads'
import { help, type HelperJob } from './walk-together.ts'

const port: unknown = workerData
if (!(port instanceof MessagePort)) throw new TypeError('this thread needs a port')

port.on('message', (job: HelperJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
  help(job, (part) => port.postMessage(part))
})
