import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { withLock } from '../fs/lock.ts'
import { isPart, partOf } from '../fs/part.ts'
import { abandonedAfter, removeOld } from '../fs/remove-old.ts'
import { replaceFile } from '../fs/replace-file.ts'
import { syncDirectory } from '../fs/replace-file.ts'
import type { Json } from '../image/canonical.ts'
import { reportingErrors } from './errors.ts'
import {
  blobFiles,
  indexEntry,
  indexFile,
  layoutFiles,
  refName,
  sizeOf,
  type ExportImage,
  type LayoutFile,
} from './layout.ts'
import type { ReadBlob } from './verified.ts'

type Writing = {
  readonly read: ReadBlob
  readonly onBytes: (count: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Writes an OCI layout, or adds the image to an existing one, replacing an image of the same name. A new folder appears
 * in one step; in an existing one `index.json` is replaced last, so readers never see an image without its blobs.
 * @throws CONFIG_INVALID, STORE_FULL, STORE_UNAVAILABLE, CANCELLED
 */
export async function writeLayout(folder: string, image: ExportImage, writing: Writing): Promise<void> {
  const isLayout = await stat(join(folder, 'oci-layout')).catch(() => undefined)
  await reportingErrors(folder, async () => {
    if (isLayout || !(await makeLayout(folder, image, writing))) await addToLayout(folder, image, writing)
  })
}

/** Whether the folder was created: false if another process has just created it. */
async function makeLayout(folder: string, image: ExportImage, writing: Writing): Promise<boolean> {
  const part = partOf(folder)
  try {
    for (const file of layoutFiles(image)) await writeInto(part, file, writing)
    await rename(part, folder)
    await syncDirectory(dirname(folder))
    return true
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes(systemErrorCode(error) ?? '')) return false
    throw error
  } finally {
    await rm(part, { recursive: true, force: true })
  }
}

// Milliseconds. The lock is held only while an index is read and replaced.
const lockPatience = 40_000

async function addToLayout(folder: string, image: ExportImage, writing: Writing): Promise<void> {
  const unfinished = { olderThan: abandonedAfter, only: (name: string) => isPart(name) }
  await removeOld(join(folder, 'blobs/sha256'), unfinished)
  for (const file of blobFiles(image)) await writeInto(folder, file, writing)
  const lock = join(folder, '.index.json.lock')
  // Two commands may add to the same layout concurrently; neither must lose the other's image.
  await withLock(lock, { patience: lockPatience, signal: writing.signal }, async () => {
    const others = (await readIndex(folder)).filter(
      ({ annotations }) => annotations?.[refName] !== indexEntry(image).annotations[refName],
    )
    await writeInto(folder, indexFile([...(others as Json[]), indexEntry(image)]), writing)
  })
}

const index = z.looseObject({
  schemaVersion: z.literal(2),
  manifests: z.array(z.looseObject({ annotations: z.record(z.string(), z.string()).optional() })),
})

/** The entries in the index of an existing layout, with all their fields. */
async function readIndex(folder: string): Promise<z.infer<typeof index>['manifests']> {
  const text = await readFile(join(folder, 'index.json'), 'utf8').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return '{"schemaVersion":2,"manifests":[]}'
    throw error
  })
  try {
    return index.parse(JSON.parse(text)).manifests
  } catch (cause) {
    throw new NixeryError('CONFIG_INVALID', `${folder} is not an OCI layout: its index.json cannot be read`, {
      cause,
    })
  }
}

/** Copies rather than links, since editing a layout's files in place must not damage the store. */
async function writeInto(
  folder: string,
  file: LayoutFile,
  { read, onBytes, signal }: Writing,
): Promise<void> {
  const path = join(folder, file.path)
  await mkdir(dirname(path), { recursive: true })
  const { content } = file
  if ('blob' in content) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile() && found.size === content.blob.size) return onBytes(sizeOf(file))
  }
  const chunks = 'bytes' in content ? [content.bytes] : read(content.blob)
  await replaceFile(path, counted(chunks, onBytes), { signal })
}

async function* counted(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk
    onBytes(chunk.length)
  }
}
