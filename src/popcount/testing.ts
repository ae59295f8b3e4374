import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A response of a test server. */
export type Reply = {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Announces the whole body, sends half of it and disconnects. */
  readonly cut?: boolean
}

export type TestServer = {
  readonly url: string
  /** The requested paths, in order. */
  readonly requests: string[]
  close(): Promise<void>
}

/**
 * Serves on a free port of 127.0.0.1.
 * @param answer receives the path, the number of the request for this path (from 1), and its headers
 */
export async function openServer(
  answer: (path: string, nth: number, headers: IncomingHttpHeaders) => Reply | Promise<Reply>,
): Promise<TestServer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    requests.push(path)
    void (async () => {
      const nth = requests.filter((each) => each === path).length
      const { status = 200, headers = {}, body = '', cut = false } = await answer(path, nth, request.headers)
      const bytes = Buffer.from(body)
      response.writeHead(status, { 'Content-Length': bytes.length, ...headers })
      if (cut) response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
      else response.end(bytes)
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A narinfo as Nix writes them. */
export const narinfoOf = (storePath: string, references: readonly string[]): string =>
  [
    `StorePath: ${storePath}`,
    'URL: nar/0000000000000000000000000000000000000000000000000000.nar',
    'Compression: none',
    'NarHash: sha256:0000000000000000000000000000000000000000000000000000',
    'NarSize: 120',
    `References: ${references.map((path) => path.replace('/nix/store/', '')).join(' ')}`,
    'Sig: key-1:AAAA==',
    '',
  ].join('\n')
