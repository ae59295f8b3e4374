import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Pseudorandom integers below a limit, the same in every run (Lehmer's generator, modulus 2^31 - 1). */
export type Numbers = (limit: number) => number

export function seeded(seed: number): Numbers {
  let state = seed
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647
    return state % limit
  }
}

/** Picks `count` of the items, in random order. */
export function sample<T>(items: readonly T[], count: number, below: Numbers): T[] {
  const left = [...items]
  const chosen: T[] = []
  while (chosen.length < count && left.length > 0) chosen.push(...left.splice(below(left.length), 1))
  return chosen
}

const poolSize = 64 * 1024 * 1024

/**
 * Bytes that compress about as well as programs (`gzip -6`: to 0.4 of their size): copies of bytes up to 16 KiB back,
 * words, and noise.
 */
export function makeBytes(below: Numbers, size = poolSize): Buffer {
  const bytes = Buffer.alloc(size)
  const words = Array.from({ length: 4_000 }, () =>
    Buffer.from(Array.from({ length: 3 + below(9) }, () => 97 + below(26))),
  )
  for (let at = 0; at < size;) {
    const kind = below(20)
    if (kind < 8) {
      const from = Math.max(0, at - 64 - below(16 * 1024))
      at += bytes.copy(bytes, at, from, Math.min(at, from + 8 + below(32))) || bytes.write(' ', at)
    } else if (kind < 15) at += words[below(words.length)]?.copy(bytes, at) ?? 0
    else for (const end = Math.min(size, at + 16); at < end; at++) bytes[at] = below(256)
  }
  return bytes
}

/** Bytes that cannot be compressed. */
export function makeNoise(below: Numbers, size = poolSize): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 2 < size; at += 3) bytes.writeUIntLE(below(2 ** 24), at, 3)
  return bytes
}

/**
 * Folders that imitate store paths: many small files, and a few that hold most of the bytes.
 * @param bytes the approximate size of all files together
 * @returns the path and size of each folder
 */
export function makeTrees(
  folder: string,
  { count, bytes }: { count: number; bytes: number },
  below: Numbers,
  makePool = makeBytes,
): { path: string; size: number }[] {
  const pool = makePool(below, Math.min(poolSize, bytes))
  // Sizes fall as 1/rank, roughly like those of a large closure.
  const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight, index) => {
    const path = join(folder, `tree-${index}`)
    mkdirSync(path)
    let left = Math.round((weight / total) * bytes)
    const size = left
    for (let file = 0; left > 0; file++) {
      const most = Math.min(left, 32 * 1024 * 1024)
      const length = file % 8 === 0 ? most : Math.min(most, 1 + below(64 * 1024))
      writeSlices(join(path, `file-${file}`), pool, length, below)
      left -= length
    }
    return { path, size }
  })
}

/** Writes bytes of the pool from random offsets, so that no two files are equal. */
function writeSlices(file: string, pool: Buffer, length: number, below: Numbers): void {
  const descriptor = openSync(file, 'wx')
  try {
    for (let left = length; left > 0;) {
      const from = below(pool.length)
      left -= writeSync(descriptor, pool, from, Math.min(left, pool.length - from))
    }
  } finally {
    closeSync(descriptor)
  }
}
