import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { NixeryError } from '../src/errors.ts'
import { ensurePrograms, type Program } from './install.ts'

/** Clients and servers that the tests run for real. */
const needed: Program[] = [
  ...(['nix-store', 'git', 'xz', 'openssl', 'python3', 'skopeo', 'podman', 'runc', 'umoci'] as const),
  ...(['buildah', 'containerd', 'ctr', 'dockerd'] as const),
  ...(['docker-registry', 'nginx', 'libdeflate.so.0', 'libisal.so.2'] as const),
  ...(['radosgw', 'ceph-mon', 'ceph-osd', 'mkfs.ext4', 'ceph'] as const),
]

const root = join(import.meta.dirname, '..')
const tools = join(root, 'node_modules', '.bin')
const say = (line: string) => process.stdout.write(`${line}\n`)

async function step(title: string, work: () => Promise<unknown>): Promise<void> {
  const started = performance.now()
  say(`── ${title}`)
  await work()
  say(`   ${((performance.now() - started) / 1000).toFixed(1)} s`)
}

/** Runs a tool of this checkout, on the Node that runs this script. */
const tool = (name: string, ...args: string[]) =>
  execa(process.execPath, [join(tools, name), ...args], { cwd: root, stdout: 'inherit', stderr: 'inherit' })

const folders = ['src', 'demo', 'scripts', 'test', 'packaging', 'bench']
const files = process.argv.slice(2)
const patterns = files.length > 0 ? files : ['{src,demo,scripts,test,bench}/**/*.test.ts']

try {
  await step('programs', () => ensurePrograms(needed, say))
  if (files.length === 0) {
    await step('format', () => tool('oxfmt', '--check', ...folders))
    await step('lint', () => tool('oxlint', '--type-aware', '--deny-warnings', ...folders))
    await step('types', () => tool('tsc', '--project', '.'))
  }
  await step('demo package set', async () => {
    const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
    const directory = join(NIXERY_DATA, 'demo')
    await ensureDemoPackageSet({
      directory,
      cacheDirectory: NIXERY_CACHE,
      architectures: ['amd64', 'arm64'],
      progress: say,
    })
  })
  await step('tests', () =>
    execa(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...patterns], {
      cwd: root,
      stdout: 'inherit',
      stderr: 'inherit',
    }),
  )
} catch (error) {
  if (error instanceof NixeryError) process.stderr.write(`test: ${error.message}\n${error.hint ?? ''}\n`)
  else
    process.stderr.write(`test: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}\n`)
  process.exit(1)
}
