import { dirname } from 'node:path'
import { writeOutput, writeStdout } from '../fs/output.ts'
import { isPart } from '../fs/part.ts'
import { abandonedAfter, removeOld } from '../fs/remove-old.ts'
import type { Chunks } from '../fs/replace-file.ts'
import type { Destination } from './destination.ts'
import { writeLayout } from './directory.ts'
import { reportingErrors } from './errors.ts'
import { dockerFiles, layoutFiles, sizeOf, type ExportImage } from './layout.ts'
import { tarOf } from './tar.ts'
import type { ReadBlob } from './verified.ts'

export type ExportOptions = {
  /** Reads and verifies blobs. */
  readonly read: ReadBlob
  /** Writes an archive without a path. */
  readonly writeStdout?: (chunks: Chunks, signal?: AbortSignal) => Promise<void>
  /** Called with the bytes written so far, and the approximate total. */
  readonly progress: (done: number, total: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Writes a published image. The same image under the same name gives the same bytes. Memory is bounded by a few pieces of
 * a blob. If it fails or is interrupted, the destination does not appear.
 * @throws CONFIG_INVALID, STORE_FULL, STORE_UNAVAILABLE, BLOB_UNKNOWN, CANCELLED
 */
export async function exportImage(
  image: ExportImage,
  { form, path }: Destination,
  { read, writeStdout: toStdout = writeStdout, progress, signal }: ExportOptions,
): Promise<void> {
  const files = form === 'docker-archive' ? dockerFiles(image) : layoutFiles(image)
  const total = files.reduce((sum, file) => sum + sizeOf(file), 0)
  let done = 0
  const onBytes = (count: number) => {
    done += count
    progress(Math.min(done, total), total)
  }
  if (path !== undefined) {
    // If the folder cannot be listed, incomplete files of earlier runs stay; the image can still be written.
    const unfinished = { olderThan: abandonedAfter, only: (name: string) => isPart(name, path) }
    await removeOld(dirname(path), unfinished).catch(() => {})
  }
  if (form === 'oci') return writeLayout(path, image, { read, onBytes, signal })
  const chunks = tarOf(files, read, onBytes)
  return reportingErrors(path ?? 'standard output', () =>
    path === undefined ? toStdout(chunks, signal) : writeOutput(path, chunks, signal),
  )
}
