import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'

/** A server of git repositories that requires a password. */
export type PrivateRemote = {
  /** The URL of the repository in a folder. */
  url(name: string): string
  /** A home folder with the password in `.netrc`. */
  readonly home: string
  close(): void
}

const [user, password] = ['operator', 'the-operators-password']

/**
 * Serves the git repositories in a folder with git-http-backend, protected by a password.
 * @param scratch for the home folder
 */
export async function openPrivateRemote(folder: string, scratch: string): Promise<PrivateRemote> {
  const home = join(scratch, 'operator')
  await mkdir(home)
  const netrc = `machine 127.0.0.1 login ${user} password ${password}\n`
  await writeFile(join(home, '.netrc'), netrc, { mode: 0o600 })
  const programs = (await execa('git', ['--exec-path'])).stdout
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const server = createServer((request, response) => {
    if (request.headers.authorization === expected) return answer(request, response, programs, folder)
    response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="private"' }).end()
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: (name) => `http://127.0.0.1:${port}/${name}`,
    home,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Runs git-http-backend as a CGI program (RFC 3875): it prints headers, an empty line and the body. */
function answer(request: IncomingMessage, response: ServerResponse, programs: string, folder: string): void {
  const [path = '', query = ''] = (request.url ?? '').split('?')
  const env = {
    PATH: process.env['PATH'] ?? '',
    GIT_PROJECT_ROOT: folder,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: path,
    QUERY_STRING: query,
    REQUEST_METHOD: request.method ?? '',
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
    GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    REMOTE_USER: user,
    REMOTE_ADDR: '127.0.0.1',
  }
  const program = spawn(join(programs, 'git-http-backend'), { env, stdio: ['pipe', 'pipe', 'ignore'] })
  request.pipe(program.stdin)
  program.stdin.on('error', () => {}) // the program may exit before reading everything
  const printed: Buffer[] = []
  program.stdout.on('data', (bytes: Buffer) => printed.push(bytes))
  program.once('close', () => {
    const all = Buffer.concat(printed)
    const end = all.indexOf('\r\n\r\n')
    const headers = all.subarray(0, Math.max(end, 0)).toString('latin1')
    for (const [, name = '', value = ''] of headers.matchAll(/^([^:\r\n]+): *(.*?)\r?$/gm)) {
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
      else response.setHeader(name, value)
    }
    response.end(all.subarray(end + 4))
  })
}
