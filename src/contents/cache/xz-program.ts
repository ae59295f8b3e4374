import { Duplex } from 'node:stream'
import { execa } from 'execa'
import { xzMemory } from './xz-memory.ts'

/**
 * Expands xz with the program `xz`, where neither liblzma nor the package can be loaded. It takes a process.
 * The stream fails when the program does, as for damaged data, or when it is not there.
 */
export function expandWithProgram(): Duplex {
  const running = execa('xz', ['--decompress', '--stdout', `--memlimit-decompress=${xzMemory}`], {
    buffer: false,
    reject: false,
    stdin: 'pipe',
    stderr: 'ignore',
  })
  const stream = Duplex.from({
    writable: running.stdin,
    // Output before a failure must not count as complete.
    readable: (async function* () {
      yield* running.stdout
      const { failed, code } = await running
      if (!failed) return
      throw new Error(
        code === 'ENOENT'
          ? 'neither liblzma, nor the package @napi-rs/lzma, nor the program xz is installed'
          : 'xz data is damaged',
      )
    })(),
  })
  stream.once('close', () => running.kill('SIGKILL'))
  return stream
}
