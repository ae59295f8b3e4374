import { Duplex } from 'node:stream'
import { execa } from 'execa'

/**
 * Expands xz with the program `xz`, where liblzma cannot be loaded. It takes half as long again, and a process.
 * The stream fails when the program does, as for damaged data, or when it is not there.
 */
export function expandWithProgram(): Duplex {
  const running = execa('xz', ['--decompress', '--stdout', '--memlimit-decompress=256MiB'], {
    buffer: false,
    reject: false,
    stdin: 'pipe',
    stderr: 'ignore',
  })
  const stream = Duplex.from({
    writable: running.stdin,
    // What was given out before it failed is not taken for all.
    readable: (async function* () {
      yield* running.stdout
      const { failed, code } = await running
      if (!failed) return
      throw new Error(
        code === 'ENOENT' ? 'neither liblzma nor the program xz is installed' : 'xz data is damaged',
      )
    })(),
  })
  stream.once('close', () => running.kill('SIGKILL'))
  return stream
}
