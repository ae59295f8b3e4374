import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attempt, type Programs, type RunResult } from './client.ts'
import { openContainerd } from './containerd.ts'
import { openDocker } from './docker.ts'
import { containersEnvironment } from './podman.ts'

/** Pulls an image into a new folder, with `name:password` or anonymously. */
export type Pull = (image: string, login: string | undefined, folder: string) => Promise<RunResult>

/** A client of a release that pulls with credentials. */
export type Puller = { readonly pull: Pull; dispose(): Promise<void> }

/** How to open a client, and whether it is installed. */
export type PullerKind = {
  readonly installed: boolean
  /**
   * Whether the client pulls public images from a server with NIXERY_AUTH=basic, which challenges at `/v2/`. `always`:
   * with any credentials, because it requests the image first; otherwise only with valid credentials, or none at all.
   */
  readonly openWithBasic: 'always' | 'without a login' | 'never'
  open(programs: Programs, folder: string): Promise<Puller>
}

const creds = (login: string | undefined) => (login === undefined ? [] : ['--creds', login])

/** Writes a Docker configuration, which docker, crane and oras read. */
async function dockerConfig(image: string, login: string | undefined, folder: string) {
  await mkdir(folder, { recursive: true })
  const auth = login === undefined ? {} : { [image.split('/')[0] ?? '']: { auth: btoa(login) } }
  await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: auth }))
  return { DOCKER_CONFIG: folder, HOME: folder }
}

/** A client without a daemon. */
const plain = (
  pull: (programs: Programs) => Pull,
  { installed = true, openWithBasic = 'without a login' }: Partial<Omit<PullerKind, 'open'>> = {},
): PullerKind => ({
  installed,
  openWithBasic,
  open: (programs) => Promise.resolve({ pull: pull(programs), dispose: () => Promise.resolve() }),
})

/** podman and buildah, with a new image store for each pull. */
const containers = (program: 'podman' | 'buildah') =>
  plain((programs) => async (image, login, folder) => {
    const args = ['pull', '--quiet', '--tls-verify=false', ...creds(login), image]
    return attempt(programs, program, args, await containersEnvironment(programs, folder, { driver: 'vfs' }))
  })

export const pullers: Readonly<Record<string, PullerKind>> = {
  skopeo: plain((programs) => (image, login, folder) => {
    const source = login === undefined ? ['--src-no-creds'] : ['--src-creds', login]
    const args = ['copy', '--src-tls-verify=false', ...source, `docker://${image}`, `dir:${folder}`]
    return attempt(programs, 'skopeo', args, { HOME: folder })
  }),
  podman: containers('podman'),
  buildah: containers('buildah'),
  crane: plain(
    (programs) => async (image, login, folder) => {
      const args = ['pull', '--format=oci', image, join(folder, 'layout')]
      return attempt(programs, 'crane', args, await dockerConfig(image, login, folder))
    },
    { installed: false },
  ),
  oras: plain(
    (programs) => async (image, login, folder) => {
      const from = ['copy', '--from-plain-http', '--no-tty', `${image}:latest`]
      const args = [...from, '--to-oci-layout', `${join(folder, 'layout')}:a`]
      return attempt(programs, 'oras', args, await dockerConfig(image, login, folder))
    },
    { installed: false, openWithBasic: 'always' },
  ),
  docker: {
    installed: true,
    openWithBasic: 'never',
    async open(programs, home) {
      const docker = await openDocker(programs, home)
      const host = { DOCKER_HOST: `unix://${join(home, 'socket')}` }
      return {
        async pull(image, login, folder) {
          const env = { ...(await dockerConfig(image, login, folder)), ...host }
          return attempt(programs, 'docker', ['pull', image], env)
        },
        dispose: () => docker.dispose(),
      }
    },
  },
  containerd: {
    installed: true,
    openWithBasic: 'always',
    async open(programs, home) {
      const containerd = await openContainerd(programs, home)
      return {
        pull: (image, login) => containerd.pullAs(image, login),
        dispose: () => containerd.dispose(),
      }
    },
  },
}
