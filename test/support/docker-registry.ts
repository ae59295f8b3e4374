import { createPrivateKey, randomUUID, sign, X509Certificate, type KeyObject } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'

/** Debian's docker-registry, over a folder. */
export type DockerRegistry = {
  /** `127.0.0.1:<port>` */
  readonly address: string
  stop(): Promise<void>
}

/** A certificate for 127.0.0.1 that nobody has signed but itself. */
export type Certificate = { readonly certificate: string; readonly key: string }

/** @param settings sections of its configuration, beside those that say where it keeps and listens */
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
  // JSON is YAML.
  await writeFile(join(folder, 'config.yml'), JSON.stringify(configuration))
  const registry = execa('docker-registry', ['serve', join(folder, 'config.yml')], {
    buffer: false,
    reject: false,
    stdin: 'ignore',
    stdout: 'ignore',
    forceKillAfterDelay: 5_000,
  })
  const said: string[] = []
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: registry.stderr })
      .on('line', (line) => {
        said.push(line)
        const found = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
        if (found !== undefined) resolve(found)
      })
      .on('close', () => reject(new Error(`docker-registry ended:\n${said.join('\n')}`)))
  })
  return {
    address,
    async stop() {
      registry.kill()
      await registry
    },
  }
}

/** For `user` with the password `pass:word` (bcrypt, made by htpasswd). */
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

/** A token server as docker-registry trusts it: it grants `user` all, and the others nothing but reading. */
export type TokenServer = {
  readonly realm: string
  /** The scopes of each token that was asked for. */
  readonly asked: readonly (readonly string[])[]
  stop(): Promise<void>
}

/** distribution, "Token Authentication Implementation". */
export async function startTokenServer(
  authorization: string,
  { certificate, key }: Certificate,
): Promise<TokenServer> {
  const privateKey = createPrivateKey(await readFile(key))
  const chain = [new X509Certificate(await readFile(certificate)).raw.toString('base64')]
  const asked: string[][] = []
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? '', 'http://x').searchParams
    const scopes = query.getAll('scope')
    const given = request.headers.authorization
    if (given !== undefined && given !== authorization) return void response.writeHead(401).end('{}')
    asked.push(scopes)
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
    asked,
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
