import { after, afterEach } from 'node:test'
import type { IncomingHttpHeaders } from 'node:http'
import { createHttpClient } from '../../net/http-client.ts'
import { openServer, type Reply, type TestServer } from '../../popcount/testing.ts'
import { httpTransport, type HttpOptions, type Transport } from './transport.ts'
import { CacheTrouble } from './trouble.ts'

/** Servers for the tests of one file, closed after each test, and transports to them. */
export function testTransports() {
  const client = createHttpClient()
  after(() => client.close())
  const servers: TestServer[] = []
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((one) => one.close()))
  })
  const serve = async (
    answer: (path: string, nth: number, headers: IncomingHttpHeaders) => Reply | Promise<Reply>,
    options: Partial<HttpOptions> = {},
  ): Promise<Transport & { url(path?: string): URL }> => {
    const opened = await openServer(answer)
    servers.push(opened)
    const defaults = { client, stall: 5000, firstDelay: 1, authorization: () => undefined }
    return {
      ...httpTransport({ ...defaults, ...options }),
      url: (path = '/x') => new URL(path, opened.url),
    }
  }
  return {
    client,
    servers,
    serve,
    /** The paths that the last server received. */
    requests: (): readonly string[] => servers.at(-1)?.requests ?? [],
  }
}

export const textOf = async (bytes: AsyncIterable<Uint8Array>): Promise<string> =>
  Buffer.concat(await Array.fromAsync(bytes)).toString()

/** Whether an error is a cache's, with a message of this pattern. */
export const trouble = (pattern: RegExp) => (error: unknown) =>
  error instanceof CacheTrouble && pattern.test(error.message)
