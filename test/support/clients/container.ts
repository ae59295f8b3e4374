import type { Ran } from './client.ts'

/** How a container is to be, beyond what its image says. */
export type Container = {
  /** uid, or uid:gid. */
  readonly user?: string
  readonly env?: Readonly<Record<string, string>>
  readonly workdir?: string
  /** The root is not to be written to. */
  readonly readOnly?: boolean
  readonly withoutCapabilities?: boolean
  /** Folders with an empty file system of their own, for everyone to write to. */
  readonly tmpfs?: readonly string[]
  /** Files and folders of this machine, to be read only. */
  readonly mounts?: readonly { readonly from: string; readonly to: string }[]
}

/** A container that goes on running. */
export type Kept = {
  /** Runs a program in it; `input` is its standard input. */
  exec(
    command: readonly string[],
    how?: Pick<Container, 'user' | 'env' | 'workdir'> & { readonly input?: Uint8Array | string },
  ): Promise<Ran>
  /** Ends and removes it. */
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

/** Those of them that `docker exec` has, too. */
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

/** What containerd gives by default: `ctr` knows no ALL. */
const capabilities = [
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL',
  'AUDIT_WRITE',
].flatMap((names) => names.split(' ').map((name) => `CAP_${name}`))
