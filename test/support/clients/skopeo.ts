import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attempt, run, type Client, type Programs } from './client.ts'
import { digestInLayout, tagOf } from './layout.ts'

/** Skopeo copies into one OCI layout; umoci unpacks from there, and runc runs the bundle. */
export async function openSkopeo(programs: Programs, folder: string): Promise<Client> {
  const layout = join(folder, 'layout')
  await mkdir(folder, { recursive: true })
  const versions = await Promise.all(
    ['skopeo', 'umoci', 'runc'].map(async (program) => {
      const output = await run(programs, program, ['--version'])
      return `${program} ${/version (\d[\d.]*)/.exec(output)?.[1]}`
    }),
  )
  let bundles = 0
  return {
    version: versions.join(', '),
    pull: (image) =>
      attempt(programs, 'skopeo', [
        '--tmpdir',
        folder,
        'copy',
        '--src-tls-verify=false',
        `docker://${image}`,
        `oci:${layout}:${tagOf(image)}`,
      ]),
    digestOf: (image) => digestInLayout(layout, tagOf(image)),
    async run(name, ...command) {
      const bundle = join(folder, `bundle-${(bundles += 1)}`)
      const image = `${layout}:${tagOf(name)}`
      const unpacked = await attempt(programs, 'umoci', ['unpack', '--image', image, bundle])
      if (!unpacked.ok) return unpacked
      await prepare(join(bundle, 'config.json'), command)
      return attempt(programs, 'runc', [
        '--root',
        join(folder, 'runc'),
        'run',
        '--bundle',
        bundle,
        `nixery-test-${process.pid}-${programs.suite}-${bundles}`,
      ])
    },
    async dispose() {}, // nothing to stop or unmount
  }
}

type RuntimeConfig = { process: { terminal: boolean; args: readonly string[]; rlimits?: unknown } }

/** Makes runc run a command without a terminal and without raising resource limits. */
async function prepare(file: string, args: readonly string[]): Promise<void> {
  const config = JSON.parse(await readFile(file, 'utf8')) as RuntimeConfig
  const { rlimits: _, ...rest } = config.process
  await writeFile(file, JSON.stringify({ ...config, process: { ...rest, terminal: false, args } }))
}
