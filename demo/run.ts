import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, styleText } from 'node:util'
import { NixeryError } from '../src/errors.ts'
import { ensurePrograms } from '../scripts/install.ts'
import { canUseNix, ownStore, requireRootless, runWithOwnStore } from '../scripts/own-store.ts'
import { openPodman, type Podman } from '../scripts/podman.ts'
import { startDetachedServer, startServer, type ServerProcess } from '../scripts/server.ts'
import { readConfig } from '../src/config.ts'
import { ensureDemoPackageSet } from './package-set.ts'

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } })

const say = (line: string) => process.stdout.write(`${line}\n`)
const detail = (line: string) => say(styleText('dim', `    ${line}`))

/** Runs a step, and prints how long it took. */
async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  say(styleText('bold', `• ${title}`))
  const result = await work()
  detail(`done in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return result
}

const blobsFetched = ({ log }: ServerProcess) =>
  log.filter((line) => line['method'] === 'GET' && String(line['path']).includes('/blobs/')).length

async function manifestOf(server: ServerProcess, name: string): Promise<{ layers: unknown[] }> {
  const response = await fetch(`http://${server.address}/v2/${name}/manifests/latest`)
  return (await response.json()) as { layers: unknown[] }
}

async function pullAndRun(podman: Podman, server: ServerProcess, name: string, command: string[]) {
  const image = `${server.address}/${name}`
  const before = blobsFetched(server)
  await step(`podman pull ${image}`, () => podman.pull(image))
  const { layers } = await manifestOf(server, name)
  // The image's config is also a blob.
  const fetched = blobsFetched(server) - before - 1
  detail(`${layers.length} layers, ${fetched} fetched, ${layers.length - fetched} already present`)
  const output = await step(`podman run ${image} ${command.join(' ')}`, () => podman.runIn(image, ...command))
  for (const line of output.split('\n')) say(styleText('green', `    ${line}`))
}

/** Only the installation of missing programs needs root: everything else works for an ordinary user. */
async function prepare(): Promise<void> {
  await step('programs: Nix, podman, runc, skopeo', () =>
    ensurePrograms(['nix-store', 'skopeo', 'podman', 'runc', 'libdeflate.so.0'], detail),
  )
  await requireRootless()
  if (await canUseNix()) {
    await demo()
    return
  }
  const folder = join(readConfig({ HOME: homedir() }).NIXERY_DATA, 'demo-store')
  say(styleText('bold', `• your own Nix store in ${folder}`))
  process.exitCode = await runWithOwnStore(folder, [process.execPath, ...process.argv.slice(1)])
}

async function demo(): Promise<void> {
  const config = readConfig({ HOME: homedir() })
  const packages = await step('the demo package set, made from Debian’s packages', () =>
    ensureDemoPackageSet({
      directory: join(config.NIXERY_DATA, 'demo'),
      cacheDirectory: config.NIXERY_CACHE,
      architectures: [process.arch === 'arm64' ? 'arm64' : 'amd64'],
      progress: detail,
    }),
  )
  const folder = await mkdtemp(join(tmpdir(), 'nixery-demo-'))
  const environment = { NIXERY_PKGS_PATH: packages, NIXERY_DATA: folder, STORAGE_PATH: join(folder, 'store') }
  const server = await step('nixery serve', () => startServer(environment))
  try {
    const podman = await openPodman(join(folder, 'podman'))
    try {
      await pullAndRun(podman, server, 'shell/hello', ['hello'])
      await pullAndRun(podman, server, 'shell/cowsay', ['cowsay', 'built while it was pulled'])
    } finally {
      await podman.destroy()
    }
  } finally {
    await server.stop()
    if (!values.keep) await rm(folder, { recursive: true, force: true })
  }
  say('')
  await printNextSteps(server.port, folder, environment)
}

/** Waits until an address responds, for at most a minute. */
async function waitForResponse(address: string): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(100)) {
    if (await fetch(address).catch(() => undefined)) return
  }
}

async function printNextSteps(
  port: number,
  folder: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const store = ownStore()
  const pull = (address: string) =>
    say(styleText('bold', `    podman pull --tls-verify=false ${address}/shell/git/htop`))
  if (store !== undefined) {
    say(`Your Nix store is kept for the next run; to delete it: chmod -R u+w ${store} && rm -r ${store}`)
  }
  if (values.keep) {
    const logFile = join(folder, 'log')
    const pid = startDetachedServer({ ...environment, PORT: String(port) }, logFile)
    await waitForResponse(`http://127.0.0.1:${port}/healthz`)
    say(`The server keeps running (log in ${logFile}); end it with: kill ${pid}`)
    say(`Its images are in ${folder}: remove that folder afterwards.`)
    say('Pull any packages of the set:')
    pull(`127.0.0.1:${port}`)
  } else if (store !== undefined) {
    say('To pull other images, keep the server running: npm run demo -- --keep')
  } else {
    say('To pull other images, start a server with ./bin/nixery serve, and run in another terminal:')
    pull('127.0.0.1:8080')
  }
}

try {
  await (ownStore() === undefined ? prepare() : demo())
} catch (error) {
  const hint = error instanceof NixeryError && error.hint !== undefined ? `: ${error.hint}` : ''
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}${hint}\n`)
  process.exitCode = 1
}
