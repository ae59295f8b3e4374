import { constants, setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'
import { checkIndex } from './index-file.ts'

// On Linux, 0 is the calling thread and no other.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_LOW)

// Its errors end the thread.
checkIndex(workerData as string)
