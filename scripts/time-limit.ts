import { isMainThread } from 'node:worker_threads'

/** In seconds. The slowest file takes a minute and a half, or nine minutes on two cores with forty busy processes. */
const limit = 1800

// Loaded into the process of each file. The time limit of Node's runner sends SIGTERM and then waits for the hooks of the
// tests, which is forever if one hangs. With this limit, exit handlers end the programs that the tests started.
if (isMainThread) {
  setTimeout(() => {
    process.stderr.write(`${process.argv[1] ?? ''} did not exit within ${limit} s\n`)
    process.exit(1)
  }, limit * 1000).unref()
}
