import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

/** A certificate for 127.0.0.1 that signs itself, in PEM files of a folder of its own. */
export type Certificate = { readonly folder: string; readonly cert: string; readonly key: string }

/** Makes one whose subject has this name. */
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
