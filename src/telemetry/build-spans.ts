import type { Context, ContextAPI, Span, SpanAttributes, TraceAPI, Tracer } from '@opentelemetry/api'
import type { BuildEvent, BuildListener } from '../builds/events.ts'
import { isNixeryError } from '../errors.ts'
import type { Redactor } from '../text/redact.ts'

/** The parts of `@opentelemetry/api` that make spans. */
export type TraceApi = {
  readonly trace: Pick<TraceAPI, 'setSpan'>
  readonly context: Pick<ContextAPI, 'active'>
  readonly SpanStatusCode: { readonly ERROR: number }
}

type Open = { readonly root: Span; readonly inside: Context }

/**
 * Makes a trace of each build: a span `build`, and in it one for each stage. Events tell of stages when they have ended and
 * how long they took, so spans are made then, with the times of the stage.
 * @param now milliseconds since 1970
 */
export function createBuildSpans(
  { trace, context, SpanStatusCode }: TraceApi,
  tracer: Tracer,
  redactor: Redactor,
  now: () => number = Date.now,
): BuildListener {
  const builds = new Map<string, Open>()

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
      const attributes = { 'nixery.build': build, 'nixery.image': event.image }
      const root = tracer.startSpan('build', { root: true, startTime: now(), attributes })
      builds.set(build, { root, inside: trace.setSpan(context.active(), root) })
      return
    }
    const open = builds.get(build)
    if (open) take(build, open, event)
  }
}
