import fc from 'fast-check'
import { anyString } from '../../src/text/testing.ts'

/** A text that no response contains unless it echoes a request. */
export const mark = 'Zq7Mark'

const hex = (length: number) => 'b'.repeat(length)

/** Fragments that parsers often get wrong. */
export const pieces: readonly string[] = [
  ['/', '//', '.', '..', '../', '%2e%2e%2f', '..%2f', '%252e%252e/', '/../../../etc/passwd', '\\', '..\\'],
  ['../canary', '..%2f..%2fcanary', '%2e%2e/%2e%2e/canary', 'layers/../../canary', '....//canary', '/canary'],
  ['%', '%0', '%00', '%0d%0a', '%0d%0aX-Injected: 1', '%ff', '%c3%28', '%u0041', '%25', '\0', '\r\n', '\n'],
  [
    '\x1b[31m',
    '\x07',
    '\x7f',
    '\x80',
    '\x9b31m',
    '\u2028',
    '\u202e',
    '\uFEFF',
    '\uD800',
    '🦀',
    'é',
    'e\u0301',
  ],
  ['<script>', `"><b>${mark}`, "'", '"', '`', '$(id)', '; id', '| id', '&', '{{7*7}}', '%s%n', '\\u0000'],
  [mark, 'a', 'A', '0', '-', '_', '--', '-rf', ':', '@', '+', '*', '?', '#', '=', ',', ';', ' ', '\t', '~'],
  [
    'shell',
    'amd64',
    'arm64',
    'ci',
    'recipe',
    'compat',
    'hello',
    'nested.hello',
    'latest',
    'constructor',
    '__proto__',
    'toString',
  ],
  ['manifests', 'blobs', 'uploads', 'tags', 'list', 'referrers', '_catalog', 'v2', 'v1', 'builds', 'static'],
  ['sha256:', `sha256:${hex(64)}`, `sha512:${hex(128)}`, `sha256-${hex(64)}`, `sha256:${hex(63)}`, hex(64)],
  ['bytes=', 'bytes=0-', 'bytes=-1', '0-0', '1-', '-0', '18446744073709551616', '-1', '1e9', '0x10', 'NaN'],
  ['*', 'W/', '"x"', 'W/"x"', '*/*', ';q=0', ';q=0.000', ';q=1.5', 'application/json', 'text/html'],
  ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json'],
  ['n=', 'last=', 'artifactType=', 'ns=docker.io', 'n=1', 'n=-1', 'n=99999999999999999999', '&&', '=&='],
  ['a'.repeat(300), '/'.repeat(300), 'a/'.repeat(40), ','.repeat(300), '"'.repeat(101), '%41'.repeat(90)],
].flat()

/** Texts made of fragments that a parser may misinterpret. */
export const hostile: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((some) => some.join('')),
  },
  { weight: 2, arbitrary: anyString({ maxLength: 60 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...pieces), fc.nat(4000))
      .map(([piece, count]) => piece.repeat(count).slice(0, 9000)),
  },
)

/** A valid text, sometimes with an insertion or a deletion. */
export const almost = (good: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(
      good,
      fc.option(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3), hostile), { freq: 2 }),
    )
    .map(([text, change]) => {
      if (!change) return text
      const [where, gone, put] = change
      const at = Math.floor(where * (text.length + 1))
      return text.slice(0, at) + put + text.slice(at + gone)
    })

const word = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,11}$/)

export const imageName: fc.Arbitrary<string> = almost(
  fc
    .array(
      fc.oneof(
        word,
        fc.constantFrom('shell', 'amd64', 'arm64', 'ci', 'recipe/ci', 'git', 'python3Packages.requests'),
      ),
      {
        minLength: 1,
        maxLength: 34,
      },
    )
    .map((segments) => segments.join('/')),
)

export const tag: fc.Arbitrary<string> = almost(
  fc.oneof(word, fc.constantFrom('latest', `sha256-${hex(64)}.sig`)),
)

const hexDigits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'] as const
const hexText = (length: number) =>
  fc.string({ unit: fc.constantFrom(...hexDigits), minLength: length, maxLength: length })

export const digest: fc.Arbitrary<string> = almost(
  fc.oneof(
    hexText(64).map((text) => `sha256:${text}`),
    hexText(128).map((text) => `sha512:${text}`),
    fc.constantFrom('blake3:abc', 'sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564'),
  ),
)

const count = fc.oneof(fc.nat(40), fc.nat(3_000_000), fc.constantFrom('', '00', '99999999999999999999'))

export const range: fc.Arbitrary<string> = almost(
  fc
    .array(fc.tuple(count, count), { minLength: 1, maxLength: 18 })
    .map((ranges) => `bytes=${ranges.map(([first, last]) => `${first}-${last}`).join(',')}`),
)

/** A range within the first bytes, because most blobs of the tests are small. */
export const smallRange: fc.Arbitrary<string> = fc
  .array(fc.tuple(fc.nat(99), fc.nat(99)), { minLength: 1, maxLength: 5 })
  .map((ranges) => `bytes=${ranges.map(([first, length]) => `${first}-${first + length}`).join(',')}`)

export const accept: fc.Arbitrary<string> = almost(
  fc
    .array(
      fc.tuple(
        fc.constantFrom(
          'application/vnd.oci.image.manifest.v1+json',
          'application/vnd.oci.image.index.v1+json',
          'application/vnd.docker.distribution.manifest.v2+json',
          'application/vnd.docker.distribution.manifest.list.v2+json',
          '*/*',
          'application/*',
          'text/html',
        ),
        fc.constantFrom('', ';q=0', '; q=0.5', ';Q=0.000', ';v=1;q=0', ';q=nan'),
      ),
      { maxLength: 9 },
    )
    .map((types) => types.map((parts) => parts.join('')).join(',')),
)

export const query: fc.Arbitrary<string> = almost(
  fc
    .array(
      fc
        .tuple(
          fc.constantFrom('n', 'last', 'artifactType', 'ns', 'N', '__proto__'),
          fc.oneof(fc.nat(20_000).map(String), hostile),
        )
        .map(([name, value]) => `${name}=${value.toWellFormed()}`),
      { maxLength: 5 },
    )
    .map((pairs) => pairs.join('&')),
)

export const entityTags: fc.Arbitrary<string> = almost(
  fc
    .array(
      fc.oneof(
        digest.map((text) => `"${text}"`),
        digest.map((text) => `W/"${text}"`),
        fc.constantFrom('*', '""', '"', 'x', ''),
      ),
      { maxLength: 12 },
    )
    .map((tags) => tags.join(', ')),
)

export const host: fc.Arbitrary<string> = almost(
  fc.constantFrom(
    'registry.example',
    'registry.example:5000',
    'localhost',
    '[::1]:5000',
    '127.0.0.1',
    'a.b.c:0',
  ),
)

/** A path below `/v2/`, percent-encoded or not. */
export const path: fc.Arbitrary<string> = almost(
  fc
    .tuple(
      fc.oneof(imageName, hostile),
      fc.constantFrom('manifests', 'blobs', 'referrers', 'tags', 'blobs/uploads', 'nothing'),
      fc.oneof(tag, digest, fc.constant('list'), hostile),
      fc.boolean(),
    )
    .map(([name, kind, reference, encoded]) => {
      const text = `${name}/${kind}/${reference}`
      return `/v2/${encoded ? encodeURIComponent(text.toWellFormed()) : text}`
    }),
)
