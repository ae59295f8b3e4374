import type { Context, ContextAPI, Span, SpanAttributes, TraceAPI, Tracer } from '@opentelemetry/api'
import type { BuildEvent, BuildListener } from '../builds/events.ts'
import { isNixeryError } from '../errors.ts'
import type { Redactor } from '../text/redact.ts'
import { parseTraceparent } from './traceparent.ts'

/** The parts of `@opentelemetry/api` that make spans. */
export type TraceApi = {
  readonly trace: Pick<TraceAPI, 'getSpan' | 'setSpan' | 'wrapSpanContext'>
  readonly context: Pick<ContextAPI, 'active'>
  readonly SpanStatusCode: { readonly ERROR: number }
}

/** A build that has started; `open` once it is known which request caused it. */
type Running = { readonly image: string; readonly at: number; open?: Open }
type Open = { readonly root: Span; readonly inside: Context }

/**
 * Makes a span `build` for each build, and in it one for each stage. Events report stages when they have ended, and how long
 * they took, so spans are made then, with the times of the stage. A build is part of the trace of the request that caused
 * it, and linked to those of the requests that joined it. The request may be of another process, which has passed on its
 * `traceparent`. Without a request, a build has its own trace.
 * @param contextOf the context of a request that is being handled
 * @param now milliseconds since 1970
 */
export function createBuildSpans(
  { trace, context, SpanStatusCode }: TraceApi,
  tracer: Tracer,
  redactor: Redactor,
  contextOf: (requestId: string) => Context | undefined,
  now: () => number = Date.now,
): BuildListener {
  const builds = new Map<string, Running>()

  const opened = (build: string, running: Running, cause?: Context): Open => {
    if (running.open) return running.open
    const attributes = { 'nixery.build': build, 'nixery.image': running.image }
    const options = { root: cause === undefined, startTime: running.at, attributes }
    const root = tracer.startSpan('build', options, cause)
    running.open = { root, inside: trace.setSpan(cause ?? context.active(), root) }
    return running.open
  }
  const elsewhere = (traceparent: string | undefined): Context | undefined => {
    const parent = parseTraceparent(traceparent)
    return parent && trace.setSpan(context.active(), trace.wrapSpanContext(parent))
  }
  const join = (build: string, running: Running, requestId: string, traceparent: string | undefined) => {
    const cause = contextOf(requestId)
    if (!running.open) opened(build, running, cause ?? elsewhere(traceparent))
    else if (cause) trace.getSpan(cause)?.addLink({ context: running.open.root.spanContext() })
  }

  const stage = ({ inside }: Open, name: string, ms: number, attributes: SpanAttributes) => {
    const end = now()
    tracer.startSpan(name, { startTime: end - ms, attributes }, inside).end(end)
  }
  const take = (build: string, open: Open, event: BuildEvent): void => {
    const { root } = open
    switch (event.type) {
      case 'resolved':
        return stage(open, 'resolve', event.ms, {
          'nixery.names': event.names,
          'nixery.evaluated': event.evaluated,
          ...(event.set !== undefined && { 'nixery.set': event.set }),
        })
      case 'realised':
        return stage(open, event.origin === 'caches' ? 'find' : 'realise', event.ms, {
          'nixery.paths': event.paths,
          'nixery.nar_bytes': event.narBytes,
        })
      case 'downloaded':
        return stage(open, 'download', event.ms, {
          'nixery.cache': event.cache,
          'nixery.path': event.path,
          'nixery.bytes': event.bytes,
        })
      case 'planned':
        root.setAttributes({ 'nixery.layers': event.layers, 'nixery.layers_known': event.known })
        return
      case 'packed':
        return stage(open, 'pack', event.ms, {
          'nixery.digest': event.digest,
          'nixery.bytes': event.size,
          'nixery.paths': event.paths,
          'nixery.paths_copied': event.copied,
        })
      case 'warning':
        root.addEvent('warning', { 'nixery.message': redactor.text(event.message) }, now())
        return
      case 'finished':
        root.setAttribute('nixery.digest', event.digest)
        break
      case 'failed': {
        const { error } = event
        const code = isNixeryError(error) ? error.code : 'UNKNOWN'
        root.setAttribute('error.type', code)
        const message = error instanceof Error ? redactor.text(error.message) : code
        root.setStatus({ code: SpanStatusCode.ERROR, message })
        break
      }
      case 'started':
      case 'joined':
      case 'evaluating':
      case 'downloading':
      case 'nix':
        return // only to be shown
      default:
        return // what others may add
    }
    builds.delete(build)
    root.end(now())
  }
  return (build, event) => {
    if (event.type === 'started') {
      builds.set(build, { image: event.image, at: now() })
      return
    }
    const running = builds.get(build)
    if (!running) return
    if (event.type === 'joined') join(build, running, event.request, event.traceparent)
    else take(build, opened(build, running), event)
  }
}
