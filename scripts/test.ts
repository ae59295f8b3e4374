import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { NixeryError } from '../src/errors.ts'
import { checkSources, reportFailure, step } from './checks.ts'
import { ensurePrograms, type Program } from './install.ts'
import { runTests } from './tests.ts'
import { unitTests } from './unit-tests.ts'

/** The real clients and servers that the tests run. */
const needed: Program[] = [
  ...(['nix-store', 'git', 'xz', 'openssl', 'python3', 'skopeo', 'podman', 'runc', 'umoci'] as const),
  ...(['buildah', 'containerd', 'ctr', 'dockerd'] as const),
  ...(['docker-registry', 'nginx', 'initdb', 'chromium', 'libdeflate.so.0'] as const),
  ...(['htpasswd', 'jq', 'curl', 'sshd', 'haproxy', 'pgbouncer', 'sqlite3'] as const),
  ...(['zsh', 'fish', 'groff', 'prometheus'] as const),
  ...(['radosgw', 'ceph-mon', 'ceph-osd', 'mkfs.ext4', 'ceph'] as const),
]

const say = (line: string) => process.stdout.write(`${line}\n`)

const files = process.argv.slice(2)
const all = { patterns: ['{src,demo,scripts,test,bench}/**/*.test.ts'], shared: unitTests() }
const chosen = files.length > 0 ? { patterns: files } : all

try {
  await step('programs', () => ensurePrograms(needed, say))
  if (files.length === 0) {
    await step('format, lint, types', checkSources)
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
  // Twice as many files as cores: the tests of clients and daemons wait for a third of their time, and for the disk.
  const passed = await step('tests', () => runTests({ ...chosen, concurrency: 4 }))
  if (!passed) process.exit(1)
} catch (error) {
  if (error instanceof NixeryError) process.stderr.write(`test: ${error.message}\n${error.hint ?? ''}\n`)
  else reportFailure('test', error)
  process.exit(1)
}
