import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { attributes as demoAttributes, type Attributes } from '../../demo/attributes.ts'
import { ensureDemoPackageSet } from '../../demo/package-set.ts'
import { readConfig } from '../../src/config.ts'
import { platforms } from '../../src/image/platform.ts'
import { openState } from '../../src/state.ts'
import { openWorker } from '../../src/worker.ts'
import type { World } from './world.ts'

/**
 * Makes the demo package set if necessary, realises all its packages (tens of seconds the first time) and reads their
 * closures.
 * @param note receives lines of progress
 * @throws SETUP_FAILED, NIX_UNAVAILABLE, BUILD_FAILED
 */
export async function demoWorld(note: (line: string) => void): Promise<World> {
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const home = readConfig({ HOME: homedir() })
  const set = await ensureDemoPackageSet({
    directory: join(home.NIXERY_DATA, 'demo'),
    cacheDirectory: home.NIXERY_CACHE,
    architectures: [architecture],
    progress: note,
  })
  const folder = await mkdtemp(join(tmpdir(), 'nixery-trace-'))
  try {
    const config = readConfig({
      HOME: homedir(),
      NIXERY_PKGS_PATH: set,
      NIXERY_DATA: folder,
      STORAGE_PATH: join(folder, 'store'),
    })
    const state = await openState(config, { warn: note })
    const worker = await openWorker(config, state, { listener: () => {}, note, warn: note })
    try {
      const { system } = platforms[architecture]
      const names = namesOf(demoAttributes)
      const looked = await worker.nix.evaluate({ set: { folder: set }, system, attributes: names }, {})
      // The set has no package if Debian has none for this architecture.
      const found = looked.filter((one) => one.status === 'package')
      const packages = new Map(found.map(({ path, outputs }) => [path.join('.'), outputs[0].outputPath]))
      const wanted = found.map(({ drvPath, outputs }) => ({ drvPath, ...outputs[0] }))
      const watch = { onLine: note }
      const facts = await worker.nix.withRealised(wanted, watch, () =>
        worker.contents.facts([...new Set(packages.values())], watch),
      )
      return { name: 'demo packages', packages, paths: new Map(facts.map((one) => [one.storePath, one])) }
    } finally {
      await worker.close()
      await state.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** `[['git'], ['xorg', 'xev'], …]` */
const namesOf = (set: Attributes): string[][] =>
  Object.entries(set).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name]] : namesOf(value).map((rest) => [name, ...rest]),
  )
