import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { ensurePrograms } from './install.ts'
import { runTests } from './tests.ts'

// Runs images in containers of all runtimes: those that are installed, and those of Debian's newest release.

const say = (line: string) => process.stdout.write(`${line}\n`)

await ensurePrograms(['nix-store', 'podman', 'buildah', 'containerd', 'ctr', 'dockerd', 'runc'], say)
const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
await ensureDemoPackageSet({
  directory: join(NIXERY_DATA, 'demo'),
  cacheDirectory: NIXERY_CACHE,
  architectures: ['amd64', 'arm64'],
  progress: say,
})
process.env['NIXERY_IMAGES'] = 'all'
const passed = await runTests({ patterns: ['test/{images,recipes}/*.test.ts'], concurrency: 1 })
if (!passed) process.exitCode = 1
