import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attempt, type Programs, type Ran } from './client.ts'
import { openContainerd } from './containerd.ts'
import { openDocker } from './docker.ts'
import { containersEnvironment } from './podman.ts'

/** Pulls an image with a name and a password (`name:password`), or with neither, keeping all in a new folder. */
export type Pull = (image: string, login: string | undefined, folder: string) => Promise<Ran>

/** A client of a release that pulls with credentials. */
export type Puller = { readonly pull: Pull; dispose(): Promise<void> }

/** How a client is opened; whether the system's Debian has it. */
export type PullerKind = {
  readonly installed: boolean
  /**
   * When it pulls what everyone may from a server with NIXERY_AUTH=basic, which asks for credentials at `/v2/`:
   * whatever it was given, if it asks for the image first; else with good credentials, or with none.
   */
  readonly openWithBasic: 'always' | 'without a login' | 'never'
  open(programs: Programs, folder: string): Promise<Puller>
}

const creds = (login: string | undefined) => (login === undefined ? [] : ['--creds', login])

/** A folder with a configuration of docker, which docker, crane and oras read. */
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

/** podman and buildah, each pull with a store of its own. */
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
