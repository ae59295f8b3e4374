import { Counter, Gauge, type Registry } from 'prom-client'

/** How a cleanup ended. Sizes are in bytes; `kept` is known if a setting limits what is kept. */
export type Cleanup =
  | { readonly result: 'failed' | 'other' }
  | {
      readonly result: 'done'
      readonly removed: { readonly images: number; readonly bytes: number }
      readonly kept?: { readonly images: number; readonly blobs: number; readonly bytes: number }
    }

/** Adds the results of cleanups to the metrics. */
export function registerCleanups(registry: Registry): (cleanup: Cleanup) => void {
  const registers = [registry]
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const cleanups = new Counter({
    name: 'nixery_cleanups_total',
    help: 'Cleanups by result: done, failed, or other, if another process was cleaning up.',
    labelNames: ['result'],
    registers,
  })
  const removed = new Counter({
    name: 'nixery_cleanup_removed_bytes_total',
    help: 'Bytes of removed blobs.',
    registers,
  })
  for (const result of ['done', 'failed', 'other']) cleanups.labels(result).inc(0)
  const last = gauge('nixery_cleanup_timestamp_seconds', 'When the last cleanup succeeded; 0 if none has.')
  let kept: readonly Gauge[] | undefined
  return (cleanup) => {
    cleanups.labels(cleanup.result).inc()
    if (cleanup.result !== 'done') return
    last.set(Date.now() / 1000)
    removed.inc(cleanup.removed.bytes)
    if (!cleanup.kept) return
    // Before the first cleanup the size is not known, which is different from 0.
    kept ??= [
      gauge('nixery_store_images', 'Images after the last cleanup.'),
      gauge('nixery_store_blobs', 'Blobs after the last cleanup.'),
      gauge('nixery_store_bytes', 'Bytes of blobs after the last cleanup.'),
    ]
    const { images, blobs, bytes } = cleanup.kept
    for (const [index, value] of [images, blobs, bytes].entries()) kept[index]?.set(value)
  }
}
