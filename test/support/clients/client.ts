import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { execa, type ExecaError } from 'execa'
import { fromSuite } from '../suite.ts'
import type { Container, Kept } from './container.ts'

/** How a program ended, and all it printed. */
export type Ran = { readonly ok: boolean; readonly output: string }

/** A client of registries, with all that it keeps in a folder of its own. */
export type Client = {
  readonly version: string
  /** Fetches an image over plain HTTP and keeps it. Never rejects: what the client says of a failure is its output. */
  pull(image: string): Promise<Ran>
  /** The digest by which the client knows an image that it has pulled: of the manifest, or of an index over it. */
  digestOf(image: string): Promise<string>
  /** The config of an image that was pulled, as the client has it. */
  inspect?(image: string): Promise<Readonly<Record<string, unknown>>>
  /** Runs a program in a new container of an image that was pulled, without a network. */
  run?(image: string, ...command: readonly string[]): Promise<Ran>
  /** The same, in a container that is to be so. */
  runAs?(image: string, container: Container, ...command: readonly string[]): Promise<Ran>
  /** Starts a container in which programs can be run; `command` keeps it alive, in place of the image's own. */
  keep?(image: string, container: Container, ...command: readonly [string, ...string[]]): Promise<Kept>
  /** Builds an image from a folder with a `Dockerfile`, for which a base was pulled. */
  build?(folder: string, tag: string): Promise<Ran>
  /** Ends and removes all it made. */
  dispose(): Promise<void>
}

/** The programs of one release of Debian. */
export type Programs = {
  /** `system` are those that are installed. */
  readonly suite: 'system' | 'sid'
  readonly path: string
  /** Where an unpacked release lies. */
  readonly folder?: string
}

/** Runs a program of that release; fails with what it printed. */
export async function run(
  { path }: Programs,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await execa(program, args, { env: { ...env, PATH: path }, stdin: 'ignore' })
  return stdout
}

/** The same, for programs whose failure is to be looked at. */
export async function attempt(...args: Parameters<typeof run>): Promise<Ran> {
  return attemptWith(undefined, ...args)
}

/** The same, for programs that read from standard input. */
export async function attemptWith(
  input: Uint8Array | string | undefined,
  ...[{ path }, program, words, env]: Parameters<typeof run>
): Promise<Ran> {
  const given = input === undefined ? ({ stdin: 'ignore' } as const) : { input }
  const options = { env: { ...env, PATH: path }, ...given, all: true, reject: false } as const
  const { failed, all, shortMessage } = (await execa(program, words, options)) as ExecaError<typeof options>
  return { ok: !failed, output: all === '' && failed ? shortMessage : all }
}

const installed: Programs = {
  suite: 'system',
  // First what Debian brings: what somebody put beside it is another version.
  path: `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`,
}

/** The programs of a release, or why they cannot be had. */
export type Found = Programs | { readonly suite: 'sid'; readonly missing: string }

/** The programs of this machine, and those of the newest Debian beside them. */
export async function allPrograms(): Promise<readonly Found[]> {
  return [installed, await newestPrograms()]
}

/**
 * The releases that a client is tested with: the one that is installed, or the newest if Debian has no other; with
 * NIXERY_CLIENTS=all (`npm run clients`) both.
 * @param ofSystem whether the client is one of the installed programs
 */
export const releasesToTest = (releases: readonly Found[], ofSystem: boolean): readonly Found[] =>
  releases.filter(({ suite }) =>
    process.env['NIXERY_CLIENTS'] === 'all'
      ? ofSystem || suite !== 'system'
      : ofSystem === (suite === 'system'),
  )

/** Programs of sid, with the package that brings each. */
const newest: Readonly<Record<string, string>> = {
  'usr/bin/skopeo': 'skopeo',
  'usr/bin/podman': 'podman',
  'usr/bin/buildah': 'buildah',
  'usr/bin/umoci': 'umoci',
  'usr/bin/runc': 'runc',
  'usr/bin/conmon': 'conmon',
  'usr/bin/crane': 'crane',
  'usr/bin/oras': 'oras',
  'usr/bin/containerd': 'containerd',
  'usr/bin/containerd-shim-runc-v2': 'containerd',
  'usr/bin/ctr': 'containerd',
  'usr/sbin/dockerd': 'docker.io',
  'usr/bin/docker': 'docker-cli',
  'usr/lib/podman/netavark': 'netavark',
}

/** The clients of Debian's sid, unpacked into the cache folder. */
async function newestPrograms(): Promise<Found> {
  const found = await fromSuite({
    suite: 'sid',
    name: 'clients',
    packages: [...new Set(Object.values(newest))],
    programs: Object.keys(newest),
    without: ['./usr/lib/cni', './usr/libexec/*', './usr/bin/perl*', './usr/lib/systemd'],
    async works(folder) {
      const there = Object.keys(newest).map((program) => access(join(folder, program)))
      if ((await Promise.allSettled(there)).some(({ status }) => status === 'rejected')) return false
      const { failed } = await execa(join(folder, 'usr/bin/podman'), ['--version'], { reject: false })
      return !failed
    },
  })
  if ('missing' in found) return { suite: 'sid', ...found }
  const { folder } = found
  const path = ['usr/bin', 'usr/sbin'].map((name) => join(folder, name)).join(':')
  return { suite: 'sid', folder, path: `${path}:${installed.path}` }
}

/** Whether a version, such as `1.9.3`, is older than another. */
export function isBefore(version: string, other: string): boolean {
  return version.replace(/^\D+/, '').localeCompare(other, 'en', { numeric: true }) < 0
}
