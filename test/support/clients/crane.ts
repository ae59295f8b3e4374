import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageList } from '../suite.ts'
import { attempt, run, type Client, type Programs } from './client.ts'
import { digestInLayout, tagOf, withTag } from './layout.ts'

/** Crane; pulls into one OCI layout. */
export async function openCrane(programs: Programs, folder: string): Promise<Client> {
  const layout = join(folder, 'layout')
  await mkdir(folder, { recursive: true })
  const format = ['--format=oci', '--platform=linux/amd64', '--cache_path', join(folder, 'cache')]
  return {
    version: await packageVersion(programs),
    pull: (image) => attempt(programs, 'crane', ['pull', ...format, image, layout]),
    digestOf: (image) => run(programs, 'crane', ['digest', '--platform=linux/amd64', image]),
    async dispose() {}, // nothing to stop or unmount
  }
}

/** `crane version` of Debian's build is empty, so this reads the version of the package. */
async function packageVersion({ folder }: Programs): Promise<string> {
  if (folder === undefined) return 'unknown'
  const names = await readFile(join(folder, packageList), 'utf8')
  return /^crane_([\d.]+)/m.exec(names)?.[1] ?? 'unknown'
}

/** Oras; copies into one OCI layout. */
export async function openOras(programs: Programs, folder: string): Promise<Client> {
  const layout = join(folder, 'layout')
  await mkdir(folder, { recursive: true })
  return {
    version: /Version:\s+(\S+)/.exec(await run(programs, 'oras', ['version']))?.[1] ?? '',
    pull: (image) =>
      attempt(programs, 'oras', [
        'copy',
        '--from-plain-http',
        '--no-tty',
        withTag(image),
        '--to-oci-layout',
        `${layout}:${tagOf(image)}`,
      ]),
    digestOf: (image) => digestInLayout(layout, tagOf(image)),
    async dispose() {}, // nothing to stop or unmount
  }
}
