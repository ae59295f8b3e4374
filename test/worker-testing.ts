/** Opens workers with small package sets, for end-to-end tests of builds. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before } from 'node:test'
import { buildImage } from '../src/builds/builds.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import type { Image } from '../src/builds/image.ts'
import { readConfig } from '../src/config.ts'
import { hexOf, type Digest } from '../src/image/digest.ts'
import { parseImageReference } from '../src/image/name.ts'
import { openNixLog, type NixLog } from './support/nix-log.ts'
import type { WorkerOptions } from '../src/worker.ts'
import { openLocalWorker, type LocalWorker } from './support/worker.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let nixLog: NixLog
const path = process.env['PATH']
const open: LocalWorker[] = []
let count = 0

before(async () => {
  workspace = await openWorkspace()
  nixLog = await openNixLog()
  process.env['PATH'] = `${nixLog.folder}:${path}`
})
afterEach(async () => {
  for (const worker of open.splice(0)) await worker.close()
})
after(async () => {
  process.env['PATH'] = path
  await nixLog.close()
  await workspace.dispose()
})

/** Writes a package set. */
export const packageSet = (packages: string): Promise<string> => workspace.packageSet(packages)

/** The Nix programs started since the last call. */
export const nixStarted = (): ReturnType<NixLog['started']> => nixLog.started()

/** Opens a worker, by default with a new data folder. It is closed after the test. */
export async function openWorker(
  set: string,
  environment: Readonly<Record<string, string>> = {},
  options: Partial<WorkerOptions> = {},
) {
  const data = join(workspace.folder, `data ${(count += 1)}`)
  const config = readConfig({
    NIXERY_PKGS_PATH: set,
    NIXERY_DATA: data,
    STORAGE_PATH: join(data, 'store'),
    NIXERY_COMPRESSION: 'gzip',
    NIXERY_STRATEGY: 'nixery',
    ...environment,
  })
  const events: BuildEvent[] = []
  const listener = (_: string, event: BuildEvent) => void events.push(event)
  const worker = await openLocalWorker(config, { listener, note: () => {}, warn: () => {}, ...options })
  open.push(worker)
  const pull = (name: string, limit?: number): Promise<Image> =>
    buildImage(worker.builds, parseImageReference(name), { requestId: 'test', limit })
  const blob = async (digest: Digest) => readFile(join(config.STORAGE_PATH, 'layers', hexOf(digest)))
  const packed = () => events.splice(0).filter((event) => event.type === 'packed')
  /** Closes the worker before the end of the test. */
  const close = async () => {
    open.splice(open.indexOf(worker), 1)
    await worker.close()
  }
  return { config, worker, pull, blob, events, packed, close }
}
