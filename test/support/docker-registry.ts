import { createPrivateKey, randomUUID, sign, X509Certificate, type KeyObject } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'

/** Debian's docker-registry, with its data in a folder. */
export type DockerRegistry = {
  /** `127.0.0.1:<port>` */
  readonly address: string
  stop(): Promise<void>
}

/** A self-signed certificate for 127.0.0.1. */
export type Certificate = { readonly certificate: string; readonly key: string }

/** @param settings further sections of its configuration */
export async function startDockerRegistry(
  folder: string,
  settings: { auth?: object; tls?: Certificate } = {},
): Promise<DockerRegistry> {
  await mkdir(folder, { recursive: true })
  const { auth, tls } = settings
  const configuration = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: '127.0.0.1:0', ...(tls && { tls }) },
    ...(auth && { auth }),
  }
  // YAML accepts JSON.
  await writeFile(join(folder, 'config.yml'), JSON.stringify(configuration))
  const registry = execa('docker-registry', ['serve', join(folder, 'config.yml')], {
    buffer: false,
    reject: false,
    stdin: 'ignore',
    stdout: 'ignore',
    forceKillAfterDelay: 5_000,
  })
  const log: string[] = []
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: registry.stderr })
      .on('line', (line) => {
        log.push(line)
        const listening = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
        if (listening !== undefined) resolve(listening)
      })
      .on('close', () => reject(new Error(`docker-registry ended:\n${log.join('\n')}`)))
  })
  return {
    address,
    async stop() {
      registry.kill()
      await registry
    },
  }
}

/** Writes a password file for `user` with the password `pass:word` (bcrypt, made by htpasswd). */
export async function passwordFile(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'htpasswd')
  await writeFile(file, 'user:$2y$05$YA.I6YxJhTEzXX1XfMUnMO.SRXPk20hwkSAy9raKgV43D6FprexFi\n')
  return file
}

export async function makeCertificate(folder: string): Promise<Certificate> {
  await mkdir(folder, { recursive: true })
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=nixery test', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate]
  await execa('openssl', [...made, ...subject], { stdin: 'ignore' })
  return { certificate, key }
}

/** A token server that docker-registry trusts. It grants `user` all actions, and anonymous clients only `pull`. */
export type TokenServer = {
  readonly realm: string
  /** The scopes of each requested token. */
  readonly requested: readonly (readonly string[])[]
  stop(): Promise<void>
}

/** Implements distribution's "Token Authentication Implementation". */
export async function startTokenServer(
  authorization: string,
  { certificate, key }: Certificate,
): Promise<TokenServer> {
  const privateKey = createPrivateKey(await readFile(key))
  const chain = [new X509Certificate(await readFile(certificate)).raw.toString('base64')]
  const requested: string[][] = []
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? '', 'http://x').searchParams
    const scopes = query.getAll('scope')
    const given = request.headers.authorization
    if (given !== undefined && given !== authorization) return void response.writeHead(401).end('{}')
    requested.push(scopes)
    const access = scopes.map((scope) => {
      const [type, name, actions = ''] = scope.split(':')
      return { type, name, actions: actions.split(',').filter((action) => given || action === 'pull') }
    })
    const claims = { sub: given ? 'user' : '', aud: query.get('service'), access }
    response.end(JSON.stringify({ token: webToken(claims, chain, privateKey), expires_in: 300 }))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    requested,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

function webToken(claims: object, x5c: readonly string[], key: KeyObject): string {
  const now = Math.floor(Date.now() / 1000)
  const times = { iat: now, nbf: now - 10, exp: now + 300 }
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const header = encode({ typ: 'JWT', alg: 'RS256', x5c })
  const signed = `${header}.${encode({ iss: 'test', jti: randomUUID(), ...times, ...claims })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`
}
