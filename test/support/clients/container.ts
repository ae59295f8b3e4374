import type { RunResult } from './client.ts'

/** Options of a container that override its image's config. */
export type Container = {
  /** uid, or uid:gid. */
  readonly user?: string
  readonly env?: Readonly<Record<string, string>>
  readonly workdir?: string
  /** Mounts the root file system read-only. */
  readonly readOnly?: boolean
  readonly withoutCapabilities?: boolean
  /** Folders with an empty tmpfs, writable for everyone. */
  readonly tmpfs?: readonly string[]
  /** Files and folders of the host, mounted read-only. */
  readonly mounts?: readonly { readonly from: string; readonly to: string }[]
}

/** A container that keeps running. */
export type RunningContainer = {
  /** Runs a program in the container; `input` is its standard input. */
  exec(
    command: readonly string[],
    options?: Pick<Container, 'user' | 'env' | 'workdir'> & { readonly input?: Uint8Array | string },
  ): Promise<RunResult>
  /** Stops and removes the container. */
  remove(): Promise<void>
}

/** The options of `docker run` and `podman run`. */
export const dockerOptions = (container: Container): string[] => [
  '--network=none',
  ...processOptions(container),
  ...(container.readOnly === true ? ['--read-only'] : []),
  ...(container.withoutCapabilities === true ? ['--cap-drop=ALL', '--security-opt=no-new-privileges'] : []),
  ...(container.tmpfs ?? []).map((path) => `--tmpfs=${path}:rw,mode=1777`),
  ...(container.mounts ?? []).map(({ from, to }) => `--volume=${from}:${to}:ro`),
]

/** The subset that `docker exec` also supports. */
export const processOptions = ({ user, env = {}, workdir }: Container): string[] => [
  ...(user === undefined ? [] : [`--user=${user}`]),
  ...(workdir === undefined ? [] : [`--workdir=${workdir}`]),
  ...Object.entries(env).map(([name, value]) => `--env=${name}=${value}`),
]

/** The options of `ctr run`. */
export const ctrOptions = (container: Container): string[] => [
  ...(container.user === undefined ? [] : ['--user', container.user]),
  ...(container.workdir === undefined ? [] : ['--cwd', container.workdir]),
  ...Object.entries(container.env ?? {}).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
  ...(container.readOnly === true ? ['--read-only'] : []),
  ...(container.withoutCapabilities === true ? capabilities.flatMap((name) => ['--cap-drop', name]) : []),
  ...(container.tmpfs ?? []).flatMap((path) => [
    '--mount',
    `type=tmpfs,src=tmpfs,dst=${path},options=mode=1777`,
  ]),
  ...(container.mounts ?? []).flatMap(({ from, to }) => [
    '--mount',
    `type=bind,src=${from},dst=${to},options=rbind:ro`,
  ]),
]

/** containerd's default capabilities; `ctr --cap-drop` does not accept ALL. */
const capabilities = [
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL',
  'AUDIT_WRITE',
].flatMap((names) => names.split(' ').map((name) => `CAP_${name}`))
