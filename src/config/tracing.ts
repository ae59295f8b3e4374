import { httpUrl, text } from './values.ts'

/** Traces of builds. The names are those of OpenTelemetry. */
export const tracingSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl
    .optional()
    .describe(
      'OpenTelemetry collector that gets traces of requests and builds, by OTLP over HTTP, such as `http://localhost:4318`; no traces if not set',
    ),
  OTEL_EXPORTER_OTLP_HEADERS: text
    .optional()
    .describe('headers for the collector, `name=value` separated by commas, percent-encoded')
    .meta({ secret: true }),
  OTEL_SERVICE_NAME: text.default('nixery').describe('name of this server in traces'),
}
