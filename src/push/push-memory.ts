import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { replaceFile } from '../fs/replace-file.ts'
import type { Digest } from '../image/digest.ts'

/** Remembers which repositories of a registry have which blobs, so that others can mount them without an upload. */
export type PushMemory = {
  /** A repository that is likely to have the blob, unless it has been removed. */
  repositoryWith(digest: Digest): string | undefined
  /** Records that a repository has these blobs. */
  remember(repository: string, digests: readonly Digest[]): Promise<void>
}

const mostRepositories = 20
const mostBlobs = 5_000

const file = z.object({
  version: z.literal(1),
  /** Most recent last. */
  repositories: z.array(z.object({ name: z.string(), blobs: z.array(z.string()) })),
})
type Repositories = z.infer<typeof file>['repositories']

/**
 * Keeps one file per registry. Failures to read or write it are ignored: they cost an upload, and no push should fail
 * because of them.
 */
export async function openPushMemory(folder: string, host: string): Promise<PushMemory> {
  const path = join(folder, `${host.toLowerCase().replace(/[^a-z0-9.-]/g, '_')}.json`)
  const known = await read(path)
  return {
    repositoryWith: (digest) => known.findLast(({ blobs }) => blobs.includes(digest))?.name,
    async remember(repository, digests) {
      // Read again: another push may have finished in the meantime.
      const latest = await read(path)
      const before = latest.find(({ name }) => name === repository)?.blobs ?? []
      const blobs = [...new Set([...before, ...digests])].slice(-mostBlobs)
      const others = latest.filter(({ name }) => name !== repository)
      const repositories = [...others, { name: repository, blobs }].slice(-mostRepositories)
      await write(path, JSON.stringify({ version: 1, repositories })).catch(() => {})
    },
  }
}

async function read(path: string): Promise<Repositories> {
  try {
    return file.parse(JSON.parse(await readFile(path, 'utf8'))).repositories
  } catch {
    return []
  }
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  // Losing the file costs an upload, which does not justify two fsync calls.
  await replaceFile(path, text, { durable: false })
}
