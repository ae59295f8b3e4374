/**
 * Counts the files and functions that a cold pull executes on the main thread, from the request for a manifest to the
 * line of its response in the log, by V8's precise coverage.
 *
 * docs/performance.md has the results.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

type Coverage = {
  readonly result: readonly {
    readonly url: string
    readonly functions: readonly {
      readonly functionName: string
      readonly ranges: readonly { readonly count: number; readonly startOffset: number }[]
    }[]
  }[]
}

const usage = `usage: NIXERY_PKGS_PATH=SET node bench/hops.ts [--files] [CHECKOUT] [IMAGE]
  CHECKOUT   a checkout with its node_modules; default: this one
  IMAGE      default: shell/git
  --files    also list each file with the functions that were called
`
const { values: options, positionals } = parseArgs({
  options: { help: { type: 'boolean' }, files: { type: 'boolean' } },
  allowPositionals: true,
})
if (options.help === true) {
  process.stdout.write(usage)
  process.exit()
}
const root = resolve(positionals[0] ?? join(import.meta.dirname, '..'))
const image = positionals[1] ?? 'shell/git'

/** Waits for an output line that matches the expression; returns its first group. */
function lineOf(server: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((found, failed) => {
    for (const output of [server.stdout, server.stderr]) {
      if (!output) continue
      createInterface({ input: output }).on('line', (line) => {
        const group = pattern.exec(line)?.[1]
        if (group !== undefined) found(group)
      })
    }
    server.once('error', failed)
    server.once('exit', (code) => failed(new Error(`the server exited with ${code}`)))
  })
}

type Client = Awaited<ReturnType<typeof inspector>>

/** Calls methods of the inspector (https://chromedevtools.github.io/devtools-protocol/v8/Profiler/). */
async function inspector(address: string) {
  const socket = new WebSocket(address)
  await once(socket, 'open')
  let calls = 0
  return {
    async call(method: string, params: object = {}): Promise<unknown> {
      calls += 1
      const id = calls
      socket.send(JSON.stringify({ id, method, params }))
      for (;;) {
        const [{ data }] = (await once(socket, 'message')) as [{ data: string }]
        const answer = JSON.parse(data) as { id?: number; result?: unknown }
        if (answer.id === id) return answer.result
      }
    },
    close: () => socket.close(),
  }
}

const sources = pathToFileURL(join(root, 'src')).href

/** The files of `src/` with the functions called since the last call; an anonymous one has its line. */
async function calledSince(client: Client) {
  const { result } = (await client.call('Profiler.takePreciseCoverage')) as Coverage
  return result
    .filter(({ url }) => url.startsWith(`${sources}/`))
    .map(({ url, functions }) => {
      const text = readFileSync(fileURLToPath(url), 'utf8')
      const lineAt = (offset: number) => text.slice(0, offset).split('\n').length
      const file = url.slice(sources.length + 1)
      return {
        file,
        room: file.split('/')[0] ?? '',
        functions: functions
          .filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0)
          .map(({ functionName, ranges }) => functionName || `:${lineAt(ranges[0]?.startOffset ?? 0)}`),
      }
    })
    .filter(({ functions }) => functions.length > 0)
}

/** Waits until the server has called no function for a second, so that the count excludes its start. */
async function quiet(client: Client): Promise<void> {
  do await setTimeout(1000)
  while ((await calledSince(client)).length > 0)
}

const data = await mkdtemp(join(tmpdir(), 'nixery-hops-'))
const server = spawn(
  process.execPath,
  ['--inspect=127.0.0.1:0', '--', join(root, 'src', 'cli', 'main.ts'), 'serve'],
  {
    cwd: root,
    env: {
      ...process.env,
      PORT: '0',
      NIXERY_HOST: '127.0.0.1',
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  },
)
try {
  const [address, port] = await Promise.all([
    lineOf(server, /(ws:\/\/\S+)/),
    lineOf(server, /"port":(\d+).*"ready"/),
  ])
  const client = await inspector(address)
  await client.call('Profiler.enable')
  await client.call('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await quiet(client)
  // The log is written after the response, so wait for its line.
  const logged = lineOf(server, /"kind":"image".*"msg":"(answered)"/)
  const response = await fetch(`http://127.0.0.1:${port}/v2/${image}/manifests/latest`)
  if (!response.ok) throw new Error(await response.text())
  await response.arrayBuffer()
  await logged
  const called = await calledSince(client)
  client.close()
  const lineFor = (name: string, files: typeof called) => {
    const functions = files.reduce((sum, file) => sum + file.functions.length, 0)
    return `${name}: ${files.length} files, ${functions} functions\n`
  }
  const rooms = [...Map.groupBy(called, ({ room }) => room)].toSorted(([a], [b]) => (a < b ? -1 : 1))
  process.stdout.write(lineFor(image, called))
  for (const [room, files] of rooms) {
    process.stdout.write(`  ${lineFor(room, files)}`)
    if (options.files !== true) continue
    for (const { file, functions } of files) process.stdout.write(`    ${file}: ${functions.join(' ')}\n`)
  }
} finally {
  const exited = server.exitCode === null ? once(server, 'exit') : undefined
  server.kill()
  await exited
  await rm(data, { recursive: true, force: true })
}
