import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

/** A self-signed certificate for 127.0.0.1, as PEM files in its own folder. */
export type Certificate = { readonly folder: string; readonly cert: string; readonly key: string }

/** Makes a certificate with `name` as its common name. */
export async function makeCertificate(directory: string, name: string): Promise<Certificate> {
  const folder = join(directory, name)
  await mkdir(folder, { recursive: true })
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  await execa('openssl', ['req', ...kind, ...names, '-keyout', key, '-out', cert])
  await chmod(key, 0o600)
  return { folder, cert, key }
}

/** A certificate authority for client certificates. */
export type Authority = {
  readonly cert: string
  /** @param subject such as `/O=dev/CN=alice` */
  sign(name: string, subject: string): Promise<{ readonly cert: string; readonly key: string }>
}

export async function makeAuthority(directory: string, name: string): Promise<Authority> {
  const ca = await makeCertificate(directory, name)
  return {
    cert: ca.cert,
    async sign(file, subject) {
      const [cert, key, request] = ['crt', 'key', 'csr'].map((end) => join(ca.folder, `${file}.${end}`))
      if (cert === undefined || key === undefined || request === undefined) throw new Error('no names')
      const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject]
      await execa('openssl', ['req', ...newKey, '-keyout', key, '-out', request])
      const signed = [
        '-req',
        '-in',
        request,
        '-CA',
        ca.cert,
        '-CAkey',
        ca.key,
        '-CAcreateserial',
        '-out',
        cert,
      ]
      await execa('openssl', ['x509', ...signed, '-days', '2'])
      return { cert, key }
    },
  }
}
