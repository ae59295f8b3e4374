import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { NixeryError, systemErrorCode, isNixeryError } from '../errors.ts'

/** PEM files. `clientCa` contains the authorities of client certificates. */
export type TlsFiles = {
  readonly cert: string
  readonly key: string
  readonly clientCa?: string | undefined
}

/** A certificate with its chain, and its key: for `https.createServer` and `setSecureContext`. */
export type TlsPair = {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
  /** Requests an optional client certificate signed by these authorities. */
  readonly ca?: Buffer
}

/**
 * Reads a certificate and its key.
 * @throws CONFIG_INVALID if one cannot be read or parsed, or they do not match
 */
export async function readTls({ cert, key, clientCa }: TlsFiles): Promise<TlsPair> {
  const pair = {
    cert: await readPem('NIXERY_TLS_CERT', cert),
    key: await readPem('NIXERY_TLS_KEY', key),
    minVersion: 'TLSv1.2',
    ...(clientCa !== undefined && { ca: await readPem('NIXERY_TLS_CLIENT_CA', clientCa) }),
  } as const
  const { ca } = pair
  if (ca && clientCa !== undefined) {
    parsed('NIXERY_TLS_CLIENT_CA', clientCa, 'certificate', () => new X509Certificate(ca))
  }
  const certificate = parsed('NIXERY_TLS_CERT', cert, 'certificate', () => new X509Certificate(pair.cert))
  const privateKey = parsed('NIXERY_TLS_KEY', key, 'private key without a passphrase', () =>
    createPrivateKey(pair.key),
  )
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new NixeryError('CONFIG_INVALID', `the key in ${key} does not match the certificate in ${cert}`, {
      hint: 'NIXERY_TLS_CERT and NIXERY_TLS_KEY must belong together',
    })
  }
  // Remaining errors, such as a chain that does not parse, or a key that OpenSSL considers too weak.
  parsed('NIXERY_TLS_CERT', cert, 'chain that can be served', () => createSecureContext(pair))
  return pair
}

async function readPem(variable: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (cause) {
    const reason = systemErrorCode(cause) ?? 'unknown'
    throw new NixeryError('CONFIG_INVALID', `${variable}: ${file} cannot be read: ${reason}`, { cause })
  }
}

function parsed<T>(variable: string, file: string, what: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown'
    throw new NixeryError('CONFIG_INVALID', `${variable}: ${file} has no ${what} in PEM: ${reason}`, {
      cause,
    })
  }
}

/** Reloads the files when they change. */
export type TlsWatch = {
  /** Checks now. Resolves when a new certificate is in use or was rejected. */
  look(): Promise<void>
  stop(): void
}

export type TlsWatchOptions = {
  /** The certificate and key in use. */
  readonly pair: TlsPair
  /** Milliseconds between checks. */
  readonly every: number
  /** Called with each new valid pair. */
  readonly use: (pair: TlsPair) => void
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
}

/**
 * Follows the files by their names, so that it sees links that are switched, as by certbot and Kubernetes. Kernel
 * notifications do not follow links, so the files are polled. While the new pair is not valid, for example because the
 * key has not been written yet, the old one stays in use.
 */
export function watchTls(files: TlsFiles, options: TlsWatchOptions): TlsWatch {
  let { pair } = options
  let seen: string | undefined
  let looking: Promise<void> | undefined
  const look = async () => {
    const state = await stateOf(files) // before reading, so that the next check sees concurrent changes
    if (state === seen) return
    seen = state
    try {
      const current = await readTls(files)
      if (isEqual(current, pair)) return
      options.use(current)
      pair = current
      options.note('the TLS certificate has changed: new connections use the new one')
    } catch (error) {
      if (!isNixeryError(error)) throw error
      options.warn(
        `the TLS certificate has changed but is not valid; the old one stays in use: ${error.message}`,
      )
    }
  }
  const watch: TlsWatch = {
    look: () => (looking ??= look().finally(() => (looking = undefined))),
    stop: () => clearInterval(timer),
  }
  const timer = setInterval(() => void watch.look(), options.every).unref()
  return watch
}

const isEqual = (one: TlsPair, other: TlsPair): boolean =>
  one.cert.equals(other.cert) &&
  one.key.equals(other.key) &&
  (one.ca && other.ca ? one.ca.equals(other.ca) : one.ca === other.ca)

/** A value that differs when the files differ; a missing file is a state, too. */
async function stateOf({ cert, key, clientCa }: TlsFiles): Promise<string> {
  const states = [cert, key, ...(clientCa === undefined ? [] : [clientCa])].map(async (file) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
      return [dev, ino, size, mtimeNs, ctimeNs].join(':')
    } catch (error) {
      return systemErrorCode(error) ?? 'unknown'
    }
  })
  return (await Promise.all(states)).join(' ')
}
