import { allPrograms, type Client } from '../support/clients/client.ts'
import { openContainerd } from '../support/clients/containerd.ts'
import { openDocker, openDockerOnContainerd } from '../support/clients/docker.ts'
import { openBuildah, openPodman } from '../support/clients/podman.ts'
import { openSkopeo } from '../support/clients/skopeo.ts'

export type Row = {
  readonly name: string
  readonly open: (folder: string) => Promise<Client>
  readonly builds: boolean
  readonly runs: boolean
}

/** The installed runtimes; if `all`, also buildah, which builds from the same storage as podman, and those of Debian sid. */
export async function clientsOf(all: boolean): Promise<Row[]> {
  const releases = await allPrograms()
  return releases.flatMap((programs): Row[] => {
    if (programs.suite !== 'system' && !all) return []
    if ('missing' in programs) throw new Error(programs.missing)
    const suite = programs.suite === 'system' ? '' : ` of ${programs.suite}`
    const openers = {
      podman: openPodman,
      docker: openDocker,
      ...(all && { buildah: openBuildah }),
      containerd: openContainerd,
    }
    const newer = programs.suite === 'system' ? {} : { 'docker on containerd': openDockerOnContainerd }
    return Object.entries({ ...openers, ...newer }).map(([name, open]) => ({
      name: `${name}${suite}`,
      open: (folder) => open(programs, folder),
      // Newer Docker releases need the buildx plugin to build, which is not installed.
      builds: name === 'buildah' || (name === 'docker' && programs.suite === 'system'),
      runs: name !== 'buildah',
    }))
  })
}

/** The installed umoci and runc, which take a command in place of the entry point. */
export async function runcRow(): Promise<Row> {
  const [installed] = await allPrograms()
  if (!installed || 'missing' in installed) throw new Error('runc is not installed')
  return { name: 'runc', builds: false, runs: true, open: (folder) => openSkopeo(installed, folder) }
}
