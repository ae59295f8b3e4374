import { generateKeyPairSync, hash, sign } from 'node:crypto'
import type { StorePath } from '../../image/store-path.ts'
import { raw, type Tree } from '../../layers/testing.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import type { InCache } from './caches.ts'
import { narEntries } from './nar.ts'
import { encodeNix32, sriOf } from './nix32.ts'
import type { TrustedKeys } from './signature.ts'
import { fingerprintOf } from './signature.ts'

/** A store path whose 32 characters are made from its name. */
export const pathOf = (name: string): StorePath =>
  `/nix/store/${encodeNix32(hash('sha256', name, 'buffer').subarray(0, 20))}-${name}` as StorePath

const padded = (bytes: Uint8Array): Buffer => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(bytes.length))
  return Buffer.concat([length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)])
}
/** Consecutive strings of a NAR, as byte strings (`latin1`). */
export const strings = (...all: string[]): Buffer => Buffer.concat(all.map((one) => padded(raw(one))))

const nodeOf = (tree: Tree): Buffer => {
  if ('target' in tree) return strings('(', 'type', 'symlink', 'target', tree.target, ')')
  if ('bytes' in tree) {
    const mark = (tree.mode & 0o100) === 0 ? [] : ['executable', '']
    return Buffer.concat([
      strings('(', 'type', 'regular', ...mark, 'contents'),
      padded(tree.bytes),
      strings(')'),
    ])
  }
  const sorted = tree.children.toSorted(([a], [b]) => Buffer.compare(raw(a), raw(b)))
  const entries = sorted.flatMap(([name, child]) => [
    strings('entry', '(', 'name', name, 'node'),
    nodeOf(child),
    strings(')'),
  ])
  return Buffer.concat([strings('(', 'type', 'directory'), ...entries, strings(')')])
}

/** The NAR of a tree, written without the code under test. */
export const narOf = (tree: Tree): Buffer => Buffer.concat([strings('nix-archive-1'), nodeOf(tree)])

/** Yields bytes in chunks of a size, like a file. */
export function reader(bytes: Uint8Array, most = Infinity): { read(into: Uint8Array): number } {
  let at = 0
  return {
    read(into) {
      const count = Math.min(into.length, bytes.length - at, most)
      into.set(bytes.subarray(at, at + count))
      at += count
      return count
    },
  }
}

export const sri = (bytes: Uint8Array): string => sriOf(hash('sha256', bytes, 'buffer'))

/** A path for which a cache returns a NAR, or something else; its names come from the test, not from Nix. */
export function inCache(
  storePath: string,
  tree: Tree,
  bytesOf: (nar: Buffer, demand: PartialDemand) => Buffer | Promise<Buffer> = (nar) => nar,
): [StorePath, InCache] {
  const nar = narOf(tree)
  const narinfo = {
    storePath: storePath as StorePath,
    narHash: sri(nar),
    narSize: nar.length,
    references: [],
    signatures: [],
    url: 'x',
    compression: 'none',
    fileHash: undefined,
    fileSize: undefined,
    contentAddress: undefined,
  } as const
  const cache: InCache['cache'] = {
    name: 'here',
    trusted: true,
    about: async () => ({ priority: 1 }),
    narinfo: async () => ({ narinfo, at: 0 }),
    reading: (_narinfo, demand, task) =>
      task(
        (async function* () {
          yield Uint8Array.from(await bytesOf(nar, demand))
        })(),
      ),
  }
  return [storePath as StorePath, { cache, narinfo, compression: 'none', askedAt: 0 }]
}

/** The entries of a NAR that matches its narinfo. */
export const entriesOf = (nar: Uint8Array, storePath: StorePath, most?: number) =>
  narEntries(reader(nar, most), { storePath, narHash: sri(nar), narSize: nar.length })

const colon = (bytes: Uint8Array): string => `sha256:${encodeNix32(hash('sha256', bytes, 'buffer'))}`

/** A key that signs narinfos. */
export function createSigner(name: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const keys: TrustedKeys = new Map([[name, publicKey]])
  const text = `${name}:${publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64')}`
  return {
    keys,
    text,
    /** The narinfo of a path in Nix's format, for this NAR in this file. */
    narinfo(
      storePath: StorePath,
      nar: Uint8Array,
      {
        file = nar,
        compression = 'none',
        url = 'nar/x.nar',
        references = [],
        fileFacts = true,
        signed = true,
      }: {
        file?: Uint8Array
        compression?: string
        url?: string
        references?: readonly StorePath[]
        fileFacts?: boolean
        signed?: boolean
      } = {},
    ): string {
      const facts = { storePath, narHash: sri(nar), narSize: nar.length, references: references.toSorted() }
      const signature = sign(null, Buffer.from(fingerprintOf(facts)), privateKey).toString('base64')
      return [
        `StorePath: ${storePath}`,
        `URL: ${url}`,
        `Compression: ${compression}`,
        ...(fileFacts ? [`FileHash: ${colon(file)}`, `FileSize: ${file.length}`] : []),
        `NarHash: ${colon(nar)}`,
        `NarSize: ${nar.length}`,
        `References: ${facts.references.map((path) => path.slice('/nix/store/'.length)).join(' ')}`,
        ...(signed ? [`Sig: ${name}:${signature}`] : []),
        '',
      ].join('\n')
    },
  }
}
