import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { NixeryError } from '../errors.ts'
import type { Reply } from './reply.ts'
import { testRequest } from './web-fetch-testing.ts'
import { createWaiting, patienceOf } from './waiting.ts'
import { plainTexts } from '../text/public.ts'

// As the clients send them.
const manifests =
  'application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json'
const fromContainerd = `${manifests}, */*`
const docker = 'docker/28.3.0 go/go1.24 kernel/6.1 os/linux arch/amd64 UpstreamClient(Docker-Client/28.3.0)'

const rows: [userAgent: string | undefined, accept: string | undefined, seconds: number, status: number][] = [
  ['containerd/1.6.20~ds1', fromContainerd, 25, 429],
  ['containerd/v2.3.0', fromContainerd, 25, 429],
  ['buildkit/v0.21', fromContainerd, 25, 429],
  [docker, fromContainerd, 25, 429],
  [docker, manifests, 900, 429],
  ['skopeo/1.9.3', manifests, 240, 429],
  ['libpod/4.3.1', manifests, 240, 429],
  ['Buildah/1.28.2', manifests, 240, 429],
  ['cri-o/1.30.0 go/go1.22 os/linux arch/amd64', manifests, 240, 429],
  ['containers/5.23.1 (github.com/containers/image)', manifests, 240, 429],
  ['crane/0.20.7 go-containerregistry/0.20.7', manifests, 240, 503],
  ['cosign/v2.4 (linux; amd64) go-containerregistry/v0.20', manifests, 240, 503],
  ['oras/1.3.3', manifests, 240, 429],
  ['Helm/3.17', manifests, 240, 429],
  ['regclient/regctl (v0.9.0)', manifests, 240, 429],
  ['curl/7.88.1', '*/*', 50, 429],
  ['not-containerd/1 docker/1', '*/*', 50, 429],
  ['', '', 50, 429],
  [undefined, undefined, 50, 429],
]

describe('how long a client waits for a build', () => {
  for (const [userAgent, accept, seconds, status] of rows) {
    it(`${userAgent} with ${accept === fromContainerd ? '*/*' : 'its types'}: ${seconds} s, ${status}`, () => {
      assert.deepEqual(patienceOf({ userAgent, accept }, undefined), { limit: seconds * 1000, status })
    })
  }

  it("is the operator's setting for all clients, with an unchanged status", () => {
    for (const [userAgent, accept, , status] of rows) {
      assert.deepEqual(patienceOf({ userAgent, accept }, 3), { limit: 3000, status })
    }
  })

  it('is defined for any headers', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (userAgent, accept) => {
        const { limit, status } = patienceOf({ userAgent, accept }, undefined)
        assert.ok(limit > 0 && limit < 1_000_000)
        assert.ok(status === 429 || status === 503)
      }),
    )
  })
})

describe('the retry response', () => {
  const build = '0b3f7a52-7f0e-4c39-a0f3-3c2f7a1d9c11'
  const page = (id: string, host: string | undefined, secure: boolean) =>
    `${secure ? 'https' : 'http'}://${host === 'good:1' ? host : 'registry.example'}/builds/${id}`
  const answerTo = (detail: unknown, headers: Readonly<Record<string, string>> = {}, secure = false) => {
    const request = testRequest('/v2/hello/manifests/latest', { headers })
    const waiting = createWaiting({ texts: plainTexts, maxWait: undefined, page, secure })
    const reply = waiting.reply(
      new NixeryError('STILL_BUILDING', 'still', { detail: detail as never }),
      request,
    )
    const { errors } = JSON.parse(textOf(reply)) as {
      errors: { code: string; message: string; detail?: unknown }[]
    }
    assert.equal(errors.length, 1)
    return { status: reply.status, headers: new Headers(reply.headers), error: errors[0] }
  }

  it("contains the URL of the build's page, in the message and in valid headers", () => {
    const { status, headers, error } = answerTo({ build }, { host: 'good:1' })
    assert.equal(status, 429)
    assert.equal(error?.code, 'TOOMANYREQUESTS')
    assert.match(error?.message ?? '', new RegExp(`http://good:1/builds/${build}\\)$`))
    assert.deepEqual(error?.detail, { build })
    assert.equal(headers.get('Link'), `</builds/${build}>; rel="status"`)
    assert.match(headers.get('Retry-After') ?? '', /^[1-9]\d*$/)
    assert.match(headers.get('Warning') ?? '', new RegExp(`^299 - "[^"\\\\]*${build}[^"\\\\]*"$`))
  })

  it('has the status on which the client retries', () => {
    assert.equal(
      answerTo({ build }, { 'user-agent': 'crane/0.20.7 go-containerregistry/0.20.7' }).status,
      503,
    )
  })

  it('contains an https URL if the client uses TLS', () => {
    const messages = [
      answerTo({ build }, {}, true),
      answerTo({ build }, { 'x-forwarded-proto': 'https' }),
      answerTo({ build }, { 'x-forwarded-proto': 'javascript' }),
    ].map(({ error }) => error?.message.includes('https://'))
    assert.deepEqual(messages, [true, true, false])
  })

  it('contains no URL if there is no build yet, or its id is not valid', () => {
    for (const detail of [undefined, null, {}, { build: undefined }, { build: '../x"\r\nA: b' }, 'x']) {
      const { headers, error } = answerTo(detail)
      assert.doesNotMatch(error?.message ?? '', /builds/)
      assert.match(error?.message ?? '', /^the package set is still being fetched/)
      assert.equal(headers.get('Link'), null)
      assert.match(headers.get('Warning') ?? '', /^299 - "[^"\\]+"$/)
    }
  })
})

const textOf = ({ body }: Pick<Reply, 'body'>): string => (typeof body === 'string' ? body : '')
