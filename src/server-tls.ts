import type { Config } from './config.ts'
import type { Listening } from './http/server.ts'
import { readTls, watchTls, type TlsFiles, type TlsPair, type TlsWatch } from './http/tls.ts'
import type { Logger } from './telemetry/log.ts'

/** The configured certificate and its key. */
export type Tls = { readonly files: TlsFiles; readonly pair: TlsPair }

// Milliseconds between two checks of the files.
const interval = 5_000

/**
 * Reads the configured files.
 * @returns undefined without TLS
 * @throws CONFIG_INVALID if they cannot be used
 */
export async function openTls(config: Config): Promise<Tls | undefined> {
  const { NIXERY_TLS_CERT: cert, NIXERY_TLS_KEY: key, NIXERY_TLS_CLIENT_CA: clientCa } = config
  if (cert === undefined || key === undefined) return undefined
  const files = { cert, key, clientCa }
  return { files, pair: await readTls(files) }
}

/** Gives a server new certificates when the files change. */
export const followTls = (
  { files, pair }: Tls,
  server: Pick<Listening, 'setTls'>,
  log: Pick<Logger, 'info' | 'warn'>,
): TlsWatch =>
  watchTls(files, {
    pair,
    every: interval,
    use: (found) => server.setTls(found),
    note: (line) => log.info(line),
    warn: (line) => log.warn(line),
  })
