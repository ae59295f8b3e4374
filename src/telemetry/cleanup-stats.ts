import { Counter, Gauge, type Registry } from 'prom-client'

/** How a cleanup ended. Sizes are in bytes; images are counted if a setting limits what is kept. */
export type Cleanup =
  | { readonly result: 'failed' | 'other' }
  | {
      readonly result: 'done'
      readonly removed: { readonly images: number; readonly bytes: number }
      readonly kept: { readonly images?: number | undefined; readonly blobs: number; readonly bytes: number }
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
  const kept = new Map<string, Gauge>()
  // Before the first cleanup the size is not known, which is different from 0.
  const show = (name: string, help: string, value: number | undefined) => {
    if (value === undefined) return
    const shown = kept.get(name) ?? gauge(name, help)
    kept.set(name, shown)
    shown.set(value)
  }
  return (cleanup) => {
    cleanups.labels(cleanup.result).inc()
    if (cleanup.result !== 'done') return
    last.set(Date.now() / 1000)
    removed.inc(cleanup.removed.bytes)
    const { images, blobs, bytes } = cleanup.kept
    show('nixery_store_images', 'Images after the last cleanup.', images)
    show('nixery_store_blobs', 'Blobs after the last cleanup.', blobs)
    show('nixery_store_bytes', 'Bytes of blobs after the last cleanup.', bytes)
  }
}
