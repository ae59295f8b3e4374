import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { createApp } from './app.ts'

/** A server that listens. */
export type Listening = {
  readonly port: number
  /** Takes no more requests, lets the running ones finish for some seconds, then closes all. */
  close(graceSeconds: number): Promise<void>
}

/**
 * Serves an app over HTTP/1.1.
 * @param port 0 for a free one
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export async function listen(
  app: ReturnType<typeof createApp>,
  host: string,
  port: number,
): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      // A client that sends slowly holds a connection for so long (ms). How long an answer takes is not limited
      // here: a build or a slow reader may take its time.
      headersTimeout: 15_000,
      requestTimeout: 60_000,
      keepAliveTimeout: 75_000,
      maxHeaderSize: 32 * 1024,
    },
  }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = systemErrorCode(cause) ?? 'unknown'
      reject(
        new NixeryError('CONFIG_INVALID', `cannot listen on ${host}, port ${port}: ${reason}`, {
          cause,
          hint: 'choose another with PORT and NIXERY_HOST',
        }),
      )
    })
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : port,
    async close(graceSeconds) {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      const force = setTimeout(() => server.closeAllConnections(), graceSeconds * 1000)
      await closed
      clearTimeout(force)
    },
  }
}
