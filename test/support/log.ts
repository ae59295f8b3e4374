import type { LogLine, ServerProcess } from '../../scripts/server.ts'
import { until } from './until.ts'

/** Whether a line reports an error. */
export const isError = ({ level }: LogLine): boolean => level === 'error' || level === 'fatal'

/**
 * The log of a running server up to now. A server writes most lines shortly after what they report, such as a response;
 * this waits for the line of one more request, which follows them.
 */
export async function logOf(server: Pick<ServerProcess, 'address' | 'log'>): Promise<readonly LogLine[]> {
  const response = await fetch(`http://${server.address}/healthz`)
  await response.arrayBuffer()
  const id = response.headers.get('x-request-id')
  await until(() => server.log.some(({ request }) => request === id), 'the log has the line of a request')
  return server.log
}
