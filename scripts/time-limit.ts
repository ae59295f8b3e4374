import { isMainThread } from 'node:worker_threads'

/** Seconds for one file of tests. The slowest takes two minutes beside a process that keeps both cores busy. */
const limit = 400

// Loaded into each file's process. The runner's own time limit sends SIGTERM, after which the process waits for the
// hooks of its tests, and so for ever when one of them hangs. This way its exit handlers end the programs it started.
if (isMainThread) {
  setTimeout(() => {
    process.stderr.write(`${process.argv[1] ?? ''} did not end within ${limit} s\n`)
    process.exit(1)
  }, limit * 1000).unref()
}
