import { spawnSync } from 'node:child_process'
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'

// node packaging/register.ts: makes the store paths that an image brings known to the Nix in it, and keeps them from
// its garbage collector, where the image has no database of Nix's: its store is a whole closure, so what a path refers
// to is among the image's paths, and found as Nix itself finds it: by the hashes that stand in the path's files.
// Done once for a container. Run before the program, so without any npm packages.

const store = '/nix/store'
const roots = '/nix/var/nix/gcroots/image'
const hashLength = 32
const blockSize = 1 << 20

const block = Buffer.allocUnsafe(blockSize + hashLength)
const isHashLetter = new Uint8Array(256)
for (const letter of Buffer.from('0123456789abcdfghijklmnpqrsvwxyz')) isHashLetter[letter] = 1

const paths = readdirSync(store)
  .filter((name) => /^[0-9a-z]{32}-/.test(name))
  .sort()
const begun = performance.now()
const unknown = unknownTo(paths)
if (unknown.length > 0) {
  const byHash = new Map(paths.map((name) => [name.slice(0, hashLength), name]))
  const lines = unknown.flatMap((name) => {
    const found = referencesOf(join(store, name), byHash)
    return [join(store, name), '', String(found.length), ...found.map((each) => join(store, each))]
  })
  mkdirSync(roots, { recursive: true })
  for (const name of unknown) link(join(store, name), join(roots, name))
  // Nix computes the hashes.
  nixStore(['--register-validity'], `${lines.join('\n')}\n`)
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  process.stderr.write(`nixery-entrypoint: made ${unknown.length} store paths known to Nix in ${seconds} s\n`)
}

/** Those that Nix does not know. */
function unknownTo(names: readonly string[]): string[] {
  const { stdout } = nixStore([
    '--check-validity',
    '--print-invalid',
    ...names.map((name) => join(store, name)),
  ])
  const invalid = new Set(stdout.split('\n'))
  return names.filter((name) => invalid.has(join(store, name)))
}

function nixStore(args: readonly string[], input = '') {
  const environment = { ...process.env, NIX_CONFIG: `substitute = false\n${process.env['NIX_CONFIG'] ?? ''}` }
  const result = spawnSync('nix-store', args, {
    input,
    env: environment,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (result.status === 0) return result
  process.stderr.write(`${result.error?.message ?? result.stderr}\n`)
  return process.exit(1)
}

/** The names of the store paths that a path's files and links name. Sorted. */
function referencesOf(path: string, byHash: ReadonlyMap<string, string>): string[] {
  const found = new Set<string>()
  const walk = (at: string): void => {
    const stat = lstatSync(at)
    if (stat.isSymbolicLink()) scan(Buffer.from(readlinkSync(at)), byHash, found)
    else if (stat.isDirectory()) for (const name of readdirSync(at)) walk(join(at, name))
    else scanFile(at, byHash, found)
  }
  walk(path)
  return [...found].sort()
}

function scanFile(path: string, byHash: ReadonlyMap<string, string>, found: Set<string>): void {
  const file = openSync(path, 'r')
  try {
    let kept = 0
    for (;;) {
      const count = readSync(file, block, kept, blockSize, null)
      if (count === 0) return
      const end = kept + count
      scan(block.subarray(0, end), byHash, found)
      // A hash may lie across the border.
      kept = Math.min(end, hashLength - 1)
      block.copyWithin(0, end - kept, end)
    }
  } finally {
    closeSync(file)
  }
}

/** Looks at every 32nd byte, and only closer where a run of a hash's letters might be. */
function scan(bytes: Buffer, byHash: ReadonlyMap<string, string>, found: Set<string>): void {
  for (let at = 0; at + hashLength <= bytes.length;) {
    let last = at + hashLength - 1
    while (last >= at && isHashLetter[bytes[last] ?? 0] === 1) last -= 1
    if (last >= at) {
      at = last + 1
      continue
    }
    const name = byHash.get(bytes.toString('latin1', at, at + hashLength))
    if (name !== undefined) found.add(name)
    at += 1
  }
}

/** Another start may have been ended in the middle. */
function link(target: string, path: string): void {
  try {
    symlinkSync(target, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
