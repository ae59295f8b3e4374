import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { execa, type ExecaError } from 'execa'
import { fromSuite } from '../suite.ts'
import type { Container, RunningContainer } from './container.ts'

/** Whether a program succeeded, and its output. */
export type RunResult = { readonly ok: boolean; readonly output: string }

/** A registry client that keeps all its files in its own folder. */
export type Client = {
  readonly version: string
  /** Pulls an image over plain HTTP. Never rejects: `output` has the client's error message. */
  pull(image: string): Promise<RunResult>
  /** The digest that the client shows for a pulled image: of the manifest, or of an index that lists it. */
  digestOf(image: string): Promise<string>
  /** The config of a pulled image, as the client shows it. */
  inspect?(image: string): Promise<Readonly<Record<string, unknown>>>
  /** Runs a program in a new container of a pulled image, without a network. */
  run?(image: string, ...command: readonly string[]): Promise<RunResult>
  /** Like `run`, with container options. */
  runAs?(image: string, container: Container, ...command: readonly string[]): Promise<RunResult>
  /** Starts a container to run programs in; `command` keeps it alive, in place of the image's own. */
  keep?(
    image: string,
    container: Container,
    ...command: readonly [string, ...string[]]
  ): Promise<RunningContainer>
  /** Builds an image from a folder with a `Dockerfile`, whose base was pulled. */
  build?(folder: string, tag: string): Promise<RunResult>
  /** Stops and removes all containers and images. */
  dispose(): Promise<void>
}

/** The clients of one release of Debian. */
export type Programs = {
  /** `system`: the installed programs. */
  readonly suite: 'system' | 'sid'
  readonly path: string
  /** The folder of an unpacked release. */
  readonly folder?: string
}

/** Runs a program of a release and returns its standard output; rejects if it fails. */
export async function run(
  { path }: Programs,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await execa(program, args, { env: { ...env, PATH: path }, stdin: 'ignore' })
  return stdout
}

/** Like `run`, but returns a failure instead of rejecting. */
export async function attempt(...args: Parameters<typeof run>): Promise<RunResult> {
  return attemptWith(undefined, ...args)
}

/** Like `attempt`, with standard input. */
export async function attemptWith(
  input: Uint8Array | string | undefined,
  ...[{ path }, program, args, env]: Parameters<typeof run>
): Promise<RunResult> {
  const stdin = input === undefined ? ({ stdin: 'ignore' } as const) : { input }
  const options = { env: { ...env, PATH: path }, ...stdin, all: true, reject: false } as const
  const { failed, all, shortMessage } = (await execa(program, args, options)) as ExecaError<typeof options>
  return { ok: !failed, output: all === '' && failed ? shortMessage : all }
}

const installed: Programs = {
  suite: 'system',
  // Debian's folders come first: other folders of PATH may have other versions.
  path: `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`,
}

/** The programs of a release, or why they are missing. */
export type Found = Programs | { readonly suite: 'sid'; readonly missing: string }

/** The installed programs, and those of Debian sid. */
export async function allPrograms(): Promise<readonly Found[]> {
  return [installed, await newestPrograms()]
}

/**
 * The releases to test a client with: the installed one, or sid if Debian's stable release lacks the client; with
 * NIXERY_CLIENTS=all (`npm run clients`) both.
 * @param ofSystem whether the client is installed
 */
export const releasesToTest = (releases: readonly Found[], ofSystem: boolean): readonly Found[] =>
  releases.filter(({ suite }) =>
    process.env['NIXERY_CLIENTS'] === 'all'
      ? ofSystem || suite !== 'system'
      : ofSystem === (suite === 'system'),
  )

/** Programs of sid, and the package of each. */
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

/** Whether a version such as `1.9.3` is older than another. */
export function isBefore(version: string, other: string): boolean {
  return version.replace(/^\D+/, '').localeCompare(other, 'en', { numeric: true }) < 0
}
