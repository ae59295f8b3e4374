import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildImage } from '../../src/builds/builds.ts'
import type { BuildEvent } from '../../src/builds/events.ts'
import { readConfig } from '../../src/config.ts'
import { parseImageReference } from '../../src/image/name.ts'
import { openServer, type Reply, type TestServer } from '../../src/popcount/testing.ts'
import { makeKey, nix, serveByNginx } from './binary-cache.ts'
import { openLocalWorker, type LocalWorker } from './worker.ts'
import { openWorkspace } from './workspace.ts'

// `odd` has random bytes and text larger than a compression block, and file names with unusual bytes.
const body = `
  odd = run "odd" ''
    mkdir -p $out/bin $out/empty $out/deep/er
    head -c 2500000 /dev/urandom > $out/noise
    seq 1 200000 > $out/deep/numbers
    echo '#!/bin/sh' > $out/bin/sh; chmod +x $out/bin/sh; ln -s sh $out/bin/env
    ln -s ../\${lib} $out/lib
    : > "$out/$(printf 'n\\351\\377')"; : > "$out/a b"; : > $out/A; : > $out/-
  '';
  lib = run "lib" "mkdir -p $out/lib; echo \${other} > $out/lib/text";
  other = run "other" "echo > $out";
  apart = run "apart" "echo \${lib} > $out";
  lonely = run "lonely" "echo > $out";
  plain = run "plain" "mkdir -p $out/bin; echo '#!/bin/sh' > $out/bin/plain; chmod +x $out/bin/plain";
`

/** Settings to take store paths only from the caches at an address, or from the local store and Nix, too. */
export const caches = (address: string) => ({ NIXERY_ORIGIN: 'caches', NIXERY_SUBSTITUTERS: address })
export const auto = (address: string) => ({ NIXERY_ORIGIN: 'auto', NIXERY_SUBSTITUTERS: address })

/** The origins of the realised images, in order. */
export const origins = (events: readonly BuildEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'realised' ? [event.origin ?? 'nix'] : []))

export const digestOf = async ({ builds }: LocalWorker, name: string): Promise<string> =>
  (await buildImage(builds, parseImageReference(name), { requestId: 'test' })).manifests.oci.digest

/** Builds packages of a set and returns their store paths. */
export async function buildPackages(
  set: string,
  attributes: readonly string[],
  system = 'x86_64-linux',
): Promise<string[]> {
  const selected = attributes.flatMap((attribute) => ['-A', attribute])
  const { stdout } = await nix('nix-build', ['--no-out-link', set, '--argstr', 'system', system, ...selected])
  return stdout.split('\n')
}

/** Deletes paths from the local store, so that images must take them from a cache. */
export async function deletePaths(paths: readonly string[]): Promise<void> {
  await nix('nix-store', ['--delete', '--ignore-liveness', ...paths])
  for (const path of paths) assert.ok(!existsSync(path))
}

/** Computes the response to a request for a cache file from its real bytes. */
export type Fault = (bytes: Buffer, nth: number, range: string | undefined) => Reply | Promise<Reply>

/** A package set, a folder of binary caches that nginx serves, and workers that build images from them. */
export type CacheImages = Awaited<ReturnType<typeof openCacheImages>>

export async function openCacheImages() {
  const workspace = await openWorkspace()
  const set = await workspace.packageSet(body)
  const key = await makeKey(workspace.folder, 'test-1')
  const root = join(workspace.folder, 'caches')
  await mkdir(root)
  const nginx = await serveByNginx(join(workspace.folder, 'nginx'), root)
  const servers: TestServer[] = []
  let count = 0

  /** Opens a worker, by default with a new data folder. */
  const open = async (
    settings: Readonly<Record<string, string>>,
    data = join(workspace.folder, `d${(count += 1)}`),
  ) => {
    const config = readConfig({
      NIXERY_PKGS_PATH: set,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_TRUSTED_KEYS: key.text,
      NIXERY_CACHE_TIMEOUT: '60',
      ...settings,
    })
    const events: BuildEvent[] = []
    const worker = await openLocalWorker(config, {
      listener: (_, event) => void events.push(event),
      note: () => {},
      warn: () => {},
    })
    return { worker, events, data }
  }
  return {
    workspace,
    set,
    key,
    root,
    url: nginx.url,
    open,

    /** Builds images: their digests, the build events and the data folder. */
    async build(names: readonly string[], settings: Readonly<Record<string, string>>, folder?: string) {
      const { worker, events, data } = await open(settings, folder)
      try {
        const digests: string[] = []
        for (const name of names) digests.push(await digestOf(worker, name))
        return { digests, events, data }
      } finally {
        await worker.close()
        assert.deepEqual(await readdir(worker.store.spoolDirectory), [])
      }
    },

    /** Starts a cache with the contents of the folder `zstd` that applies `fault` to files that match a pattern. */
    async faultyCache(pattern: RegExp, fault: Fault): Promise<string> {
      const server = await openServer(async (path, nth, { range }) => {
        const original = await readFile(join(root, 'zstd', path)).catch(() => undefined)
        if (!original) return { status: 404 }
        return pattern.test(path) ? fault(original, nth, range) : { body: original }
      })
      servers.push(server)
      return server.url
    },
    /** Closes the faulty caches of one test. */
    closeFaultyCaches: () => Promise.all(servers.splice(0).map((server) => server.close())),
    async dispose() {
      await nginx.stop()
      await workspace.dispose()
    },
  }
}
