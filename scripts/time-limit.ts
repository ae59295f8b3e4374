import { isMainThread } from 'node:worker_threads'

/** Seconds per test file. The slowest takes a minute and a half, or seven minutes on two cores with ten busy processes. */
const limit = 900

// Loaded into the process of each file. The time limit of Node's runner sends SIGTERM, and then waits for the hooks of
// the tests, so for ever if one of them hangs. This way, exit handlers end the programs that the tests started.
if (isMainThread) {
  setTimeout(() => {
    process.stderr.write(`${process.argv[1] ?? ''} did not end within ${limit} s\n`)
    process.exit(1)
  }, limit * 1000).unref()
}
