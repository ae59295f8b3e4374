import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { buildsOf } from '../builds/builds-testing.ts'
import { NixeryError } from '../errors.ts'
import { mediaTypes } from '../image/oci.ts'
import { amd64, arm64 } from '../image/platform.ts'
import { openTestRegistry, type TestRegistry } from './testing.ts'

let registry: TestRegistry
const open: TestRegistry[] = []
before(async () => {
  registry = await openTestRegistry()
  open.push(registry)
})
after(async () => {
  for (const each of open.toReversed()) await each.dispose()
})

/** Two registries with the same image: one must wait for it, the other has it cached. */
async function openBoth(platforms = [amd64]) {
  const used: [waits: string[], knows: string[]] = [[], []]
  const build = () => new Promise<typeof registry.image>((resolve) => setImmediate(resolve, registry.image))
  const known = () => registry.image
  const waits = await registry.with({ platforms, builds: buildsOf(build), onUse: (one) => used[0].push(one) })
  const knows = await registry.with({
    platforms,
    builds: buildsOf(() => Promise.reject(new NixeryError('CANCELLED', 'not known')), known),
    onUse: (one) => used[1].push(one),
  })
  open.push(waits, knows)
  return { waits, knows, used }
}

/** All bytes of a response except the date and the request id. */
async function bytesOf(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${[...lines, 'Host: a', 'Connection: close'].join('\r\n')}\r\n\r\n`)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  await once(socket, 'close')
  assert.match(text, /^X-Request-Id: [0-9a-f-]{36}\r$/m)
  return text.replace(/^(Date|X-Request-Id): .*$/gm, '$1')
}

const accepts = [
  undefined,
  '*/*',
  'text/html',
  mediaTypes.oci.manifest,
  mediaTypes.docker.manifest,
  `${mediaTypes.oci.index}, ${mediaTypes.oci.manifest};q=0.5`,
  `${mediaTypes.oci.index}, ${mediaTypes.docker.index}`,
  `${mediaTypes.oci.manifest}${' '.repeat(2000)}`,
]

describe('the response for a known image', () => {
  it('is byte for byte the same as after waiting for a build', async () => {
    const { waits, knows, used } = await openBoth()
    const etag = `"${registry.image.manifests.oci.digest}"`
    const conditions = ['', `If-None-Match: ${etag}`, 'If-Match: "other"', `If-None-Match: W/${etag}, "b"`]
    const paths = ['shell/git/manifests/latest', 'git/manifests/latest?ns=x', 'shell%2Fgit/manifests/latest']
    let index = 0
    for (const method of ['GET', 'HEAD']) {
      for (const accept of accepts) {
        for (const condition of conditions) {
          const path = paths[(index += 1) % paths.length] ?? ''
          const lines = [`${method} /v2/${path} HTTP/1.1`]
          if (accept !== undefined) lines.push(`Accept: ${accept}`)
          if (condition !== '') lines.push(condition)
          // Indexes are built: known images are not looked up.
          if (accept?.includes('index') && !accept.includes('manifest.v1')) continue
          const slow = await bytesOf(waits.port, lines)
          for (const time of ['first', 'second']) {
            assert.equal(await bytesOf(knows.port, lines), slow, `${time}: ${lines.join('\n')}`)
          }
        }
      }
    }
    const passing = (one: (typeof waits.accessLog)[number]) => ({ ...one, id: '', ms: 0 })
    const distinct = (registryAnswers: TestRegistry) => [
      ...new Set(registryAnswers.accessLog.map((one) => JSON.stringify(passing(one)))),
    ]
    assert.deepEqual(distinct(knows), distinct(waits))
    assert.equal(knows.accessLog.length, 2 * waits.accessLog.length, 'each is reported')
    assert.equal(used[1].length, 2 * used[0].length, 'each is in use')
  })

  it('is for the platform in its name, or the first one', async () => {
    const calls: string[] = []
    const { knows } = await openBoth([arm64, amd64])
    const other = await knows.with({
      builds: buildsOf(
        () => Promise.reject(new NixeryError('CANCELLED', 'not known')),
        (image) => {
          calls.push(`${image.platform.architecture} ${image.tag} ${image.packages.join(' ')}`)
          return registry.image
        },
      ),
    })
    open.push(other)
    for (const name of ['git', 'git', 'amd64/git', 'arm64/git']) {
      const accept = { accept: mediaTypes.oci.manifest }
      const { status } = await other.clients[1].fetch(`/v2/${name}/manifests/latest`, { headers: accept })
      assert.equal(status, 200)
    }
    assert.deepEqual(calls, ['arm64 latest git', 'arm64 latest git', 'amd64 latest git', 'arm64 latest git'])
  })
})
