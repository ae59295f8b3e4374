import { createHash, createPublicKey, generateKeyPairSync, verify, type KeyObject } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'

/** A temporary service account. */
export type ServiceAccount = {
  readonly keyFile: string
  readonly email: string
  readonly publicKey: KeyObject
}

/** Makes a service account and writes its key file in the format of Google's console. */
export async function makeServiceAccount(keyFile: string): Promise<ServiceAccount> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const email = 'nixery@test.iam.gserviceaccount.com'
  const key = {
    type: 'service_account',
    project_id: 'test',
    private_key_id: '1',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    client_email: email,
    client_id: '1',
  }
  await writeFile(keyFile, JSON.stringify(key))
  return { keyFile, email, publicKey: createPublicKey(privateKey) }
}

/**
 * Why a V4 signature of this account does not authorize a request, or undefined if it does
 * (cloud.google.com/storage/docs/authentication/canonical-requests).
 * @param now in ms since the epoch
 */
export function signatureFault(
  { method, url, headers }: { method: string; url: URL; headers: IncomingHttpHeaders },
  { email, publicKey }: ServiceAccount,
  now: number,
): string | undefined {
  const query = url.searchParams
  const value = (name: string) => query.get(`X-Goog-${name}`) ?? ''
  if (value('Algorithm') !== 'GOOG4-RSA-SHA256') return 'no V4 signature'

  const date = value('Date')
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date)?.slice(1).map(Number)
  if (!parts) return `bad date: ${date}`
  const [year = 0, month = 0, day, hour, minute, second] = parts
  const signedAt = Date.UTC(year, month - 1, day, hour, minute, second)
  const expires = value('Expires')
  if (!/^\d+$/.test(expires) || Number(expires) > 604_800) return `bad expiration: ${expires}`
  if (now < signedAt - 60_000) return 'signed in the future'
  if (now > signedAt + Number(expires) * 1000) return 'expired'

  const scope = `${date.slice(0, 8)}/auto/storage/goog4_request`
  if (value('Credential') !== `${email}/${scope}`) return `bad credential: ${value('Credential')}`

  const signed = value('SignedHeaders').split(';')
  if (!signed.includes('host')) return 'the host is not signed'
  const canonicalHeaders = signed.map((name) => {
    // Google's SDK signs the host without its port.
    const text = name === 'host' ? url.hostname : [headers[name] ?? ''].flat().join(',').trim()
    return `${name}:${text}\n`
  })
  const canonicalQuery = [...query]
    .filter(([name]) => name !== 'X-Goog-Signature')
    .map(([name, text]) => `${encoded(name)}=${encoded(text)}`)
    .sort()
    .join('&')
  const canonical = [
    method,
    url.pathname,
    canonicalQuery,
    canonicalHeaders.join(''),
    signed.join(';'),
    'UNSIGNED-PAYLOAD',
  ].join('\n')
  const hash = createHash('sha256').update(canonical).digest('hex')
  const text = ['GOOG4-RSA-SHA256', date, scope, hash].join('\n')
  const valid = verify('RSA-SHA256', Buffer.from(text), publicKey, Buffer.from(value('Signature'), 'hex'))
  return valid ? undefined : 'the signature does not match'
}

/** Percent-encodes everything except RFC 3986's unreserved characters. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  )
