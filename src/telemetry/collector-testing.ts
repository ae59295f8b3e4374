import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

type Value = { stringValue?: string; intValue?: string | number }
type Raw = {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  links?: { spanId: string }[]
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: Value }[]
  status?: { code?: number }
}

/** A span as a collector receives it. */
export type SentSpan = {
  readonly trace: string
  readonly id: string
  readonly parent: string | undefined
  readonly name: string
  readonly kind: number
  /** The ids of other spans. */
  readonly links: readonly string[]
  readonly ms: number
  readonly attributes: Readonly<Record<string, string | number | undefined>>
  readonly isError: boolean
}

/** Starts an OpenTelemetry collector on the loopback interface. It receives traces by OTLP over HTTP, as JSON. */
export async function openCollector(status = 200) {
  const requests: { path: string; headers: IncomingHttpHeaders; body: string }[] = []
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    requests.push({ path: request.url ?? '', headers: request.headers, body: await text(request) })
    response.writeHead(status, { 'Content-Type': 'application/json' }).end('{}')
  }
  const server = createServer((request, response) => void receive(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans: (): SentSpan[] =>
      requests.flatMap(({ body }) => {
        const { resourceSpans } = JSON.parse(body) as {
          resourceSpans: { scopeSpans: { spans: Raw[] }[] }[]
        }
        return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(spanOf)))
      }),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const spanOf = (raw: Raw): SentSpan => ({
  trace: raw.traceId,
  id: raw.spanId,
  parent: raw.parentSpanId === '' ? undefined : raw.parentSpanId,
  name: raw.name,
  kind: raw.kind,
  links: (raw.links ?? []).map(({ spanId }) => spanId),
  ms: Number((BigInt(raw.endTimeUnixNano) - BigInt(raw.startTimeUnixNano)) / 1000n) / 1000,
  attributes: Object.fromEntries(
    raw.attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? (value.intValue === undefined ? undefined : Number(value.intValue)),
    ]),
  ),
  isError: raw.status?.code === 2,
})
