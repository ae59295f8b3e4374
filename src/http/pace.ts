/** The bytes written to a connection, and those that the system has not accepted yet. */
export type Sending = { readonly written: number; readonly waiting: number; readonly queued: number }

/**
 * Decides whether readers are too slow. Time counts only while data is available for the reader: a server that is
 * slow itself, or a reader that takes everything, is never too slow.
 * @param rate bytes per second that a reader must take
 * @param window milliseconds over which that is measured
 */
export function createPace(rate: number, window: number) {
  const windows = new WeakMap<object, { at: number; taken: number }>()
  return {
    /** @param now milliseconds */
    isTooSlow(key: object, { written, waiting, queued }: Sending, now: number): boolean {
      if (rate === 0) return false
      if (waiting === 0) {
        windows.delete(key)
        return false
      }
      const taken = written - queued
      const last = windows.get(key)
      if (!last) windows.set(key, { at: now, taken })
      if (!last || now - last.at < window) return false
      windows.set(key, { at: now, taken })
      return (taken - last.taken) * 1000 < rate * (now - last.at)
    },
  }
}

/** The response that a connection is currently sending. */
export function sendingOf(socket: { bytesWritten: number; writableLength: number }): Sending {
  // libuv knows how much of a write the system has accepted; Node itself detects stalled connections by the same
  // number.
  const handle: unknown = Reflect.get(socket, '_handle')
  const size: unknown =
    handle !== null && typeof handle === 'object' ? Reflect.get(handle, 'writeQueueSize') : undefined
  const { bytesWritten: written, writableLength: waiting } = socket
  return { written, waiting, queued: typeof size === 'number' ? size : waiting }
}
