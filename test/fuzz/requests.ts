import fc from 'fast-check'
import * as any from './arbitraries.ts'

/** Digests that the server has. */
export type Known = { readonly digests: readonly string[] }

const methods = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('GET', 'HEAD') },
  {
    weight: 3,
    arbitrary: fc.constantFrom('POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY'),
  },
  { weight: 1, arbitrary: any.almost(fc.constant('GET')) },
)

const versions = fc.oneof(
  { weight: 12, arbitrary: fc.constant('HTTP/1.1') },
  { weight: 2, arbitrary: fc.constantFrom('HTTP/1.0', 'HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', '') },
  { weight: 1, arbitrary: any.hostile },
)

const lineEnds = fc.oneof(
  { weight: 20, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\n\r', '') },
)

const targets = ({ digests }: Known): fc.Arbitrary<string> => {
  const some = fc.constantFrom(...digests)
  const real = fc.oneof(
    some.map((digest) => `/v2/hello/blobs/${digest}`),
    some.map((digest) => `/v2/hello/manifests/${digest}`),
    some.map((digest) => `/v2/hello/referrers/${digest}`),
    fc.constantFrom(
      '/v2/',
      '/v2/hello/tags/list',
      '/v2/hello/manifests/latest',
      '/v2/nested.hello/manifests/latest',
    ),
    fc.constantFrom(
      '/',
      '/healthz',
      '/readyz',
      '/metrics',
      '/builds/',
      '/static/',
      '/v2/_catalog',
      '/v1/',
      '*',
    ),
  )
  return fc.oneof(
    { weight: 5, arbitrary: any.path },
    { weight: 4, arbitrary: real },
    { weight: 4, arbitrary: any.almost(real) },
    {
      weight: 2,
      arbitrary: fc.tuple(any.almost(real), any.query).map(([path, query]) => `${path}?${query}`),
    },
    { weight: 2, arbitrary: any.hostile.map((text) => `/${text}`) },
    { weight: 1, arbitrary: any.hostile },
    { weight: 1, arbitrary: fc.tuple(any.host, any.path).map(([host, path]) => `http://${host}${path}`) },
  )
}

const line = (name: string, value: fc.Arbitrary<string>) => value.map((text) => `${name}: ${text}`)

/** Headers that the server reads. */
const header = ({ digests }: Known): fc.Arbitrary<string> => {
  const tags = fc.oneof(any.entityTags, fc.constantFrom(...digests.map((digest) => `"${digest}"`)))
  return fc.oneof(
    line('Accept', any.accept),
    line('Range', any.range),
    line('If-None-Match', tags),
    line('If-Match', tags),
    line('If-Range', tags),
    line('User-Agent', fc.oneof(any.hostile, fc.constantFrom('docker/28', 'containerd/2', 'skopeo/1'))),
    line('Expect', fc.constantFrom('100-continue', '200-ok', '')),
    line('X-Forwarded-Proto', any.hostile),
    line('Accept-Encoding', any.hostile),
    line('Cookie', any.hostile),
  )
}

/** Headers that frame the body, and malformed headers. */
const framing = fc.oneof(
  line('Content-Length', fc.oneof(fc.nat(40).map(String), any.hostile)),
  line(
    'Transfer-Encoding',
    fc.constantFrom('chunked', 'identity', 'gzip, chunked', 'chunked, chunked', '\tchunked'),
  ),
  line('Connection', fc.constantFrom('close', 'keep-alive', 'upgrade', 'Host', 'close, TE')),
  line('Upgrade', fc.constantFrom('h2c', 'websocket', any.mark)),
  fc.tuple(any.hostile, any.hostile).map(([name, value]) => `${name}: ${value}`),
  any.hostile,
)

const bodies = fc.oneof(
  { weight: 6, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: any.hostile },
  { weight: 1, arbitrary: fc.nat(40).map((length) => 'x'.repeat(length)) },
  { weight: 1, arbitrary: any.hostile.map((text) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`) },
)

const malformed = (known: Known): fc.Arbitrary<string> =>
  fc
    .record({
      method: methods,
      target: targets(known),
      version: versions,
      end: lineEnds,
      host: fc.oneof({ weight: 9, arbitrary: any.host }, { weight: 1, arbitrary: any.hostile }),
      headers: fc.array(fc.oneof(header(known), framing), { maxLength: 5 }),
      body: bodies,
    })
    .map(({ method, target, version, end, host, headers, body }) =>
      [`${method} ${target} ${version}`, `Host: ${host}`, ...headers, '', body].join(end),
    )

/** Well-formed HTTP requests with any target, which reach the registry's code. */
const wellFormed = (known: Known): fc.Arbitrary<string> =>
  fc
    .record({
      method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD', 'HEAD', 'POST', 'DELETE'),
      target: targets(known),
      host: any.host,
      headers: fc.array(header(known), { maxLength: 4 }),
    })
    .map(({ method, target, host, headers }) => {
      const path = target.startsWith('/') || target.startsWith('http') ? target : `/${target}`
      const sendable = path.toWellFormed().replace(/[^!-~]/gu, encodeURIComponent)
      const lines = [`Host: ${host}`, ...headers].map((text) => text.replace(/[\0-\x08\x0a-\x1f\x7f]/g, ''))
      return [`${method} ${sendable} HTTP/1.1`, ...lines, '', ''].join('\r\n')
    })

/** Requests for existing content, with conditions and ranges. */
const conditional = ({ digests }: Known): fc.Arbitrary<string> =>
  fc
    .record({
      digest: fc.constantFrom(...digests),
      kind: fc.constantFrom('blobs', 'blobs', 'manifests', 'referrers'),
      headers: fc.array(
        fc.oneof(
          line('Range', any.range),
          line('Range', any.smallRange),
          line(
            'If-None-Match',
            fc.oneof(any.entityTags, fc.constantFrom(...digests.map((one) => `W/"${one}"`))),
          ),
          line('If-Range', fc.oneof(any.entityTags, fc.constantFrom(...digests.map((one) => `"${one}"`)))),
          line('Accept', any.accept),
        ),
        { maxLength: 3 },
      ),
    })
    .map(({ digest, kind, headers }) => {
      const lines = ['Host: a', ...headers].map((text) => text.replace(/[\0-\x08\x0a-\x1f\x7f]/g, ''))
      return [`GET /v2/hello/${kind}/${digest} HTTP/1.1`, ...lines, '', ''].join('\r\n')
    })

const request = (known: Known): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: wellFormed(known) },
    { weight: 2, arbitrary: conditional(known) },
    { weight: 2, arbitrary: malformed(known) },
  )

/** Requests as bytes: most are almost HTTP, some are pipelined, and some are random bytes. */
export const requests = (known: Known): fc.Arbitrary<Buffer> => {
  const text = fc.oneof(
    { weight: 20, arbitrary: request(known) },
    {
      weight: 3,
      arbitrary: fc.array(request(known), { minLength: 2, maxLength: 6 }).map((all) => all.join('')),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.array(request(known), { minLength: 17, maxLength: 60 }), fc.nat(12))
        .map(([all, times]) => all.join('').repeat(times + 1)),
    },
    { weight: 1, arbitrary: any.almost(request(known)) },
    { weight: 1, arbitrary: any.hostile },
  )
  return fc.oneof(
    { weight: 6, arbitrary: text.map((sent) => Buffer.from(sent, 'utf8')) },
    { weight: 6, arbitrary: text.map((sent) => Buffer.from(sent, 'latin1')) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  )
}
