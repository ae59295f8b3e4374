import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { ensureDemoPackageSet } from '../../demo/package-set.ts'
import { startServer, type ServerProcess } from '../../scripts/server.ts'
import { readConfig } from '../../src/config.ts'

/** A temporary folder, and servers that are stopped when it is removed. */
export type Workspace = {
  readonly folder: string
  /** Starts a server with a new data folder, unless the environment sets another. */
  serve(environment: Readonly<Record<string, string>>, under?: readonly string[]): Promise<ServerProcess>
  /** Writes a small package set. `body` is the inside of `rec { }`, and can use `script name text` and `run name text`. */
  packageSet(body: string): Promise<string>
  /** Mounts a small tmpfs. Needs root. */
  mountSmallDisk(megabytes: number): Promise<string>
  /** Stops the servers and removes the folder. */
  dispose(): Promise<void>
}

export async function openWorkspace(): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-test-'))
  const undo: (() => Promise<unknown>)[] = []
  let count = 0
  const make = async (kind: string) => {
    const path = join(folder, `${kind}-${(count += 1)}`)
    await mkdir(path)
    return path
  }

  return {
    folder,
    async serve(environment, under) {
      const data = await make('data')
      const server = await startServer(
        {
          NIXERY_DATA: data,
          STORAGE_PATH: join(data, 'store'),
          ...environment,
        },
        undefined,
        under,
      )
      undo.push(() => server.stop('SIGKILL'))
      return server
    },
    async packageSet(body) {
      const path = await make('set')
      await writeFile(join(path, 'default.nix'), setWith(body))
      return path
    },
    async mountSmallDisk(megabytes) {
      const path = await make('disk')
      await execa('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path])
      undo.push(() => execa('umount', ['--lazy', path]))
      return path
    },
    async dispose() {
      for (const each of undo.reverse()) await each()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** `unique` makes the derivations of each test run new, so that Nix must build them. */
const setWith = (body: string): string => `{ system, ... }: let
  unique = "${process.pid}-${Date.now()}";
  run = name: text: derivation {
    inherit name system unique;
    builder = "/bin/sh";
    args = [ "-c" "export PATH=/usr/bin:/bin\\n\${text}\\n:" ];
  };
  script = name: text: run name "mkdir -p $out/bin; echo '#!/bin/sh' > $out/bin/\${name}; echo '\${text}' >> $out/bin/\${name}; chmod +x $out/bin/\${name}";
in rec { ${body} }
`

/** The demo package set; made if it is missing. */
export function demoPackages(): Promise<string> {
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  return ensureDemoPackageSet({
    directory: join(NIXERY_DATA, 'demo'),
    cacheDirectory: NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: () => {},
  })
}

/** A registry's error response. */
export type Failure = { errors: { code: string; message: string; detail?: unknown }[] }

/** Sends a request below `/v2/` and parses a JSON response. */
export async function requestV2(
  server: Pick<ServerProcess, 'address'>,
  path: string,
  init: RequestInit = {},
): Promise<{ response: Response; json: unknown; text: string }> {
  const response = await fetch(`http://${server.address}/v2/${path}`, { redirect: 'manual', ...init })
  const text = await response.text()
  return { response, text, json: text.startsWith('{') ? (JSON.parse(text) as unknown) : undefined }
}

/** The status and the first error of a failed pull. */
export async function failureOf(
  server: ServerProcess,
  name: string,
): Promise<{ status: number; code: string; message: string }> {
  const { response, json } = await requestV2(server, `${name}/manifests/latest`)
  const error = (json as Partial<Failure> | undefined)?.errors?.[0]
  if (!error) throw new Error(`no error for ${name}: ${response.status}`)
  return { status: response.status, code: error.code, message: error.message }
}
