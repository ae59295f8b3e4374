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

// node packaging/register.ts: registers the store paths of an image with its Nix, and protects them from the garbage
// collector, if the image has no Nix database. The store of an image is a closure, so a path refers only to paths of the
// image. References are found as Nix does: by their hashes in the path's files. Runs once per container, before the
// program, and without npm packages.

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
const started = performance.now()
const unknown = unregistered(paths)
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
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stderr.write(
    `nixery-entrypoint: registered ${unknown.length} store paths with Nix in ${seconds} s\n`,
  )
}

/** The paths that are not registered with Nix. */
function unregistered(names: readonly string[]): string[] {
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

/** The store paths that the files and links of a path refer to, sorted. */
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
      // A hash may cross the boundary between two chunks.
      kept = Math.min(end, hashLength - 1)
      block.copyWithin(0, end - kept, end)
    }
  } finally {
    closeSync(file)
  }
}

/** Checks every 32nd byte, and looks closer only where a run of hash characters is possible. */
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

/** Creates a link, unless an earlier, interrupted start created it. */
function link(target: string, path: string): void {
  try {
    symlinkSync(target, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
