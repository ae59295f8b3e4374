import type { Context, ContextAPI, Span, TraceAPI, Tracer } from '@opentelemetry/api'
import { isNixeryError } from '../errors.ts'
import type { AccessLogEntry } from '../http/access-log.ts'
import type { HttpRequest } from '../http/request.ts'
import type { Redactor } from '../text/redact.ts'
import { isOrdinary } from './error-facts.ts'
import { httpRoute } from './http-route.ts'
import { longestShown } from './log.ts'
import { formatTraceparent, parseTraceparent } from './traceparent.ts'

/** The parts of `@opentelemetry/api` that spans of requests need. */
export type RequestTraceApi = {
  readonly trace: Pick<TraceAPI, 'setSpan' | 'getSpan' | 'wrapSpanContext'>
  readonly context: Pick<ContextAPI, 'active'>
  readonly SpanKind: { readonly SERVER: number }
  readonly SpanStatusCode: { readonly ERROR: number }
}

/** Makes a span of each request. */
export type RequestSpans = {
  /** @param scheme how the client reached the server */
  begin(request: Pick<HttpRequest, 'id' | 'method' | 'path' | 'header'>, scheme: 'http' | 'https'): void
  end(entry: AccessLogEntry): void
  /** The context of a request that is being handled, for what it causes. */
  readonly contextOf: (requestId: string) => Context | undefined
  /** The same as a W3C `traceparent`, for what it causes in other processes. */
  readonly traceparentOf: (requestId: string) => string | undefined
  /** Links a request that is being handled to a span of another process. */
  readonly link: (requestId: string, traceparent: string) => void
}

// Those of RFC 9110 and RFC 5789. Clients may send any other, which must not become the name of a span.
const methods: ReadonlySet<string> = new Set(
  'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE'.split(' '),
)

type Open = { readonly span: Span; readonly inside: Context; readonly isOurs: boolean }

/**
 * Spans of requests with the attributes of OpenTelemetry's conventions for HTTP servers
 * (opentelemetry.io/docs/specs/semconv/http/http-spans). Queries are left out: they can have tokens of logins. If the
 * operator's SDK has already begun a span for the request, that one is used and only gets the route.
 */
export function createRequestSpans(
  { trace, context, SpanKind, SpanStatusCode }: RequestTraceApi,
  tracer: Tracer,
  redactor: Redactor,
): RequestSpans {
  const open = new Map<string, Open>()
  const shown = (text: string) => redactor.text(text).slice(0, longestShown)

  return {
    begin(request, scheme) {
      const active = context.active()
      const theirs = trace.getSpan(active)
      if (theirs) {
        open.set(request.id, { span: theirs, inside: active, isOurs: false })
        return
      }
      const parent = parseTraceparent(request.header('traceparent'))
      const userAgent = request.header('user-agent')
      const span = tracer.startSpan(
        methodOf(request.method),
        {
          kind: SpanKind.SERVER,
          root: parent === undefined,
          attributes: {
            'http.request.method': methods.has(request.method) ? request.method : '_OTHER',
            'url.path': shown(request.path),
            'url.scheme': scheme,
            'nixery.request': request.id,
            ...(userAgent !== undefined && { 'user_agent.original': shown(userAgent) }),
          },
        },
        parent && trace.setSpan(active, trace.wrapSpanContext(parent)),
      )
      open.set(request.id, { span, inside: trace.setSpan(active, span), isOurs: true })
    },
    end({ id, kind, method, path, status, bytes, error }) {
      const found = open.get(id)
      if (!found) return // not a request, but bytes that cannot be parsed as one
      open.delete(id)
      const { span, isOurs } = found
      const route = httpRoute(kind, path)
      if (route !== undefined) span.setAttribute('http.route', route)
      if (!isOurs) return
      if (route !== undefined) span.updateName(`${methodOf(method)} ${route}`)
      span.setAttributes({ 'http.response.status_code': status, 'http.response.body.size': bytes })
      // Some failures of the server have a status below 500: see "Decisions" in ARCHITECTURE.md.
      if (status >= 500 || (error !== undefined && !isOrdinary(error))) {
        span.setAttribute('error.type', isNixeryError(error) ? error.code : String(status))
        span.setStatus({ code: SpanStatusCode.ERROR })
      }
      span.end()
    },
    contextOf: (requestId) => open.get(requestId)?.inside,
    traceparentOf(requestId) {
      const found = open.get(requestId)
      return found && formatTraceparent(found.span.spanContext())
    },
    link(requestId, traceparent) {
      const other = parseTraceparent(traceparent)
      if (other) open.get(requestId)?.span.addLink({ context: other })
    },
  }
}

const methodOf = (method: string): string => (methods.has(method) ? method : 'HTTP')
