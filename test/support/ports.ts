import { createServer } from 'node:net'

// Below the kernel's ephemeral ports (by default from 32768), which other connections and servers may get at any moment.
const first = 12_000
// How many ports a process tries before those of the next one: test files that run at the same time have different ones.
const perProcess = 40
const range = 20_000

let next = (process.pid * perProcess) % range

/**
 * A free port of 127.0.0.1, for a server that cannot choose one itself, or needs the same one again after a restart:
 * unlike a port that the kernel chooses, no other process takes it in the meantime.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < range; tries += 1) {
    const port = first + next
    next = (next + 1) % range
    if (await isFree(port)) return port
  }
  throw new Error('there is no free port')
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
