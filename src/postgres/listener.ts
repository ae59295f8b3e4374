import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'
import { connectionOptions, loadPg } from './connection-options.ts'

/** Receives notifications of a channel. The functions must not throw. */
export type Ears = {
  readonly notified: (payload: string) => void
  /**
   * Notifications may have been missed, so read the current state. Called whenever listening has started, including the
   * first time.
   */
  readonly missed: () => void
}

/** Notifications of a PostgreSQL database. They are only hints: listeners must also poll from time to time. */
export type Listener = {
  /**
   * @param channel lower-case letters and underscores
   * @returns a function that stops listening
   */
  listen(channel: string, ears: Ears): () => void
  close(): Promise<void>
}

export type ListenerOptions = {
  /** The URL of the database server itself, or of a pooler in session mode. */
  readonly url: string
  /** Receives a line when the connection is lost, but none for the following attempts. */
  readonly warn: (line: string) => void
  /** Milliseconds between checks of the connection. */
  readonly every?: number
}

// Milliseconds between connection attempts: doubled from the first value up to the second.
const [shortestPause, longestPause] = [100, 5_000]
// The timeout of a statement in milliseconds; the statements are small.
const patience = 5_000

/** @throws SETUP_FAILED if the npm package is missing */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { url, warn, every = 15_000 } = options
  const pg = await loadPg()
  const ears = new Map<string, Set<Ears>>()
  const stop = new AbortController()
  let current: Client | undefined

  const earsOf = (channel: string) => [...(ears.get(channel) ?? [])]
  /** Listens until the connection is lost, or `close` is called. */
  const attend = async (onListening: () => void) => {
    const client = new pg.Client(connectionOptions(pg, url, patience))
    const lost = Promise.withResolvers<never>()
    lost.promise.catch(() => {})
    const onStop = () => lost.reject(new Error('it was closed'))
    stop.signal.addEventListener('abort', onStop)
    client.on('error', lost.reject)
    client.on('end', () => lost.reject(new Error('the connection was closed')))
    client.on('notification', ({ channel, payload = '' }) => {
      for (const one of earsOf(channel)) one.notified(payload)
    })
    try {
      await Promise.race([client.connect(), lost.promise])
      const channels = [...ears.keys()]
      for (const channel of channels) await client.query(`listen ${channel}`)
      current = client
      onListening()
      for (const [channel, all] of ears) {
        if (!channels.includes(channel)) await client.query(`listen ${channel}`)
        for (const one of all) one.missed()
      }
      for (;;) {
        await Promise.race([delay(every, undefined, { signal: stop.signal }), lost.promise])
        await Promise.race([client.query('select 1'), lost.promise])
      }
    } finally {
      current = undefined
      stop.signal.removeEventListener('abort', onStop)
      void client.end().catch(() => {}) // it may be lost
    }
  }
  const run = async () => {
    let pause = shortestPause
    let hasWarned = false
    while (!stop.signal.aborted) {
      try {
        await attend(() => {
          pause = shortestPause
          hasWarned = false
        })
      } catch (error) {
        if (stop.signal.aborted) return
        if (!hasWarned) warn(`cannot receive notifications from the database: ${reasonOf(error)}`)
        hasWarned = true
      }
      await delay(pause * (0.5 + Math.random()), undefined, { signal: stop.signal }).catch(() => {})
      pause = Math.min(2 * pause, longestPause)
    }
  }
  const running = run()

  return {
    listen(channel, each) {
      if (!/^[a-z_]{1,60}$/.test(channel)) throw new TypeError(`${channel} is not a valid name of a channel`)
      const all = ears.get(channel) ?? new Set()
      ears.set(channel, all.add(each))
      // If this fails the connection is lost, and the next one listens to all channels.
      void current?.query(`listen ${channel}`).then(
        () => all.has(each) && each.missed(),
        () => {},
      )
      return () => void all.delete(each)
    },
    async close() {
      stop.abort()
      await running
    },
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message.replace(/\s+/g, ' ') : String(error)
