import { createHash, type Hash } from 'node:crypto'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * The sha256 (hex) of a path's NAR serialisation, as `nix-hash --type sha256` prints it, without Nix. With this hash,
 * `builtins.path` is fixed, so that Nix does not read files again that are already in its store.
 */
export async function narHash(path: string): Promise<string> {
  const hash = createHash('sha256')
  write(hash, 'nix-archive-1')
  await writeNode(hash, path)
  return hash.digest('hex')
}

async function writeNode(hash: Hash, path: string): Promise<void> {
  const stat = await lstat(path)
  write(hash, '(', 'type')
  if (stat.isSymbolicLink()) write(hash, 'symlink', 'target', await readlink(path))
  else if (stat.isDirectory()) {
    write(hash, 'directory')
    for (const name of (await readdir(path)).sort()) {
      write(hash, 'entry', '(', 'name', name, 'node')
      await writeNode(hash, join(path, name))
      write(hash, ')')
    }
  } else {
    write(hash, 'regular')
    if ((stat.mode & 0o100) !== 0) write(hash, 'executable', '')
    write(hash, 'contents', await readFile(path))
  }
  write(hash, ')')
}

/** A string in a NAR: its length in 8 bytes, little-endian, then its bytes, padded with zeros to a multiple of 8. */
function write(hash: Hash, ...texts: (string | Buffer)[]): void {
  for (const text of texts) {
    const bytes = Buffer.from(text)
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(bytes.length))
    hash.update(length)
    hash.update(bytes)
    hash.update(Buffer.alloc((8 - (bytes.length % 8)) % 8))
  }
}
