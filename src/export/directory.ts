import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Json } from '../image/canonical.ts'
import { partPrefix, partSuffix } from './destination.ts'
import { removeLeftovers, saying, syncDirectory, writeWholeFile } from './file.ts'
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
 * Writes an OCI layout, or adds the image to the one that is there in place of an image of the same name. A new
 * folder appears whole; in an old one `index.json` is replaced last, so no reader meets an image without blobs.
 * @throws CONFIG_INVALID, STORE_FULL, STORE_UNAVAILABLE, CANCELLED
 */
export async function writeLayout(folder: string, image: ExportImage, writing: Writing): Promise<void> {
  const isLayout = await stat(join(folder, 'oci-layout')).catch(() => undefined)
  await saying(folder, async () => {
    if (isLayout || !(await makeLayout(folder, image, writing))) await addToLayout(folder, image, writing)
  })
}

/** Whether the folder could be made: false if somebody else made it meanwhile. */
async function makeLayout(folder: string, image: ExportImage, writing: Writing): Promise<boolean> {
  const part = `${partPrefix(folder)}${randomUUID()}${partSuffix}`
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

async function addToLayout(folder: string, image: ExportImage, writing: Writing): Promise<void> {
  await removeLeftovers(join(folder, 'blobs/sha256'), '.')
  for (const file of blobFiles(image)) await writeInto(folder, file, writing)
  await withLock(join(folder, '.index.json.lock'), async () => {
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

/** What the index of an existing layout lists, all its fields kept. */
async function readIndex(folder: string): Promise<z.infer<typeof index>['manifests']> {
  const text = await readFile(join(folder, 'index.json'), 'utf8').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return '{"schemaVersion":2,"manifests":[]}'
    throw error
  })
  try {
    return index.parse(JSON.parse(text)).manifests
  } catch (cause) {
    throw new NixeryError('CONFIG_INVALID', `${folder} is no OCI layout: its index.json cannot be read`, {
      cause,
    })
  }
}

/** Copies, and does not link: who edits a layout's files in place must not damage the store. */
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
  await writeWholeFile(path, counted(chunks, onBytes), signal)
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

// Reading and replacing an index takes milliseconds: a lock of this age was left by a process that was killed.
const staleLock = 20_000
const lockPatience = 40_000

/** So that of two commands that add to one layout at the same time, neither loses the other's image. */
async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const until = Date.now() + lockPatience
  for (;;) {
    const handle = await open(file, 'wx').catch((error: unknown) => {
      if (systemErrorCode(error) === 'EEXIST') return undefined
      throw error
    })
    if (handle) {
      await handle.close()
      break
    }
    const found = await stat(file).catch(() => undefined)
    if (found && found.mtimeMs < Date.now() - staleLock) await rm(file, { force: true })
    else if (Date.now() > until) {
      throw new NixeryError('STORE_UNAVAILABLE', `another program keeps ${file} for too long`)
    } else await sleep(20)
  }
  try {
    return await work()
  } finally {
    await rm(file, { force: true })
  }
}
