import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import { NixeryError } from '../src/errors.ts'
import { digestOf } from '../src/image/digest.ts'
import { testRequest } from '../src/http/web-fetch-testing.ts'
import { createHistory } from '../src/web/history.ts'
import { createWeb } from '../src/web/web.ts'
import { createGate } from './support/gate.ts'
import { until } from './support/until.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

/** The expected content security policy: forms may be sent to this server, and a page's own script may run. */
const policyOf = (text: string): string => {
  const rules = [
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'",
    `form-action ${text.includes('<form') ? "'self'" : "'none'"}`,
    "frame-ancestors 'none'",
    ...(ownScript.test(text) ? ["script-src 'self'; connect-src 'self'"] : []),
  ]
  return rules.join('; ')
}

/** The script element of pages with a script. */
const ownScript = /<script type="module" src="\/static\/live-[0-9a-f]{16}\.js"><\/script>/

const all = { listBuilds: true, showNames: true }

const gate = createGate()
let workspace: Workspace
let server: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  const set = await workspace.packageSet(String.raw`
    hello = script "hello" "echo hi";
    rude = run "rude" "echo '<script>alert(1)</script> &amp;'; printf 'tok\\033[0men=s3cr3t-a\\n'; echo 'Authorization: Basic czNjcjN0LWI='; echo https://me:s3cr3t-c@example.org/; exit 1";
    slow = run "slow" "echo begun; ${gate.wait}; mkdir -p $out/bin; echo x > $out/bin/slow";
  `)
  server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_PAGES: 'full' })
})
after(() => workspace.dispose().then(() => gate.dispose()))

type Page = { status: number; headers: IncomingMessage['headers']; text: string }

/** Sends a request verbatim: `fetch` would set Host and normalize the path. */
async function send(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Page> {
  const sent = request({ host: '127.0.0.1', port: server.port, path, method, headers, agent: false })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, headers: response.headers, text: await textOf(response) }
}

const page = async (path: string): Promise<string> => (await send(path)).text

/** The path of an image's newest build, from its link on the home page. */
async function buildPathOf(image: string): Promise<string> {
  const links = (await page('/')).matchAll(/<a class="image" href="([^"]+)">(.*?)<\/a>/gs)
  const link = [...links].find(([, , name]) => name?.replaceAll('<wbr />', '') === image)
  assert.ok(link?.[1], `no link for ${image}`)
  return link[1]
}

describe('the page', () => {
  it('shows how to pull from this host', async () => {
    const html = await page('/')
    assert.ok(html.includes(`docker pull ${server.address}/shell/git/htop`))
    assert.ok(html.includes(`podman pull --tls-verify=false ${server.address}/shell/git/htop`))
    for (const word of ['<code>shell</code>', '<code>arm64</code>', 'bashInteractive', 'aarch64-linux']) {
      assert.ok(html.includes(word), word)
    }
  })

  it('shows the source and, once known, its revision', async () => {
    await until(async () => !(await page('/')).includes('not known yet'), 'the revision is known')
    assert.match(await page('/'), /a folder on this server.*<code>[0-9a-z-]*[0-9a-f]{32,}[^<]*<\/code>/s)
  })

  const rows: [what: string, method: string, path: string, status: number][] = [
    ['the page', 'GET', '/', 200],
    ['the page with a query', 'GET', '/?a=<b>', 200],
    ['the composer', 'GET', '/compose?q=%3Cscript%3E&p=%22%3E%3Cscript%3E&r=%3Cb%3E&have=%3Cb%3E', 200],
    ['an image that was never pulled', 'GET', '/images/shell/nothing-like-it', 404],
    ['an invalid image name', 'GET', '/images/%3Cscript%3E', 404],
    ['an empty image name', 'GET', '/images/', 404],
    ['another method of the composer', 'POST', '/compose', 405],
    ['another method', 'POST', '/', 405],
    ['another method of a build', 'DELETE', `/builds/${randomUUID()}`, 405],
    ['an unknown path', 'GET', '/healthy', 404],
    ['a file of the original Nixery', 'GET', '/static/assets.go', 404],
    ['the folder of static files', 'GET', '/static/', 404],
    ['a path out of that folder', 'GET', '/static/..%2f..%2fmain.ts', 404],
    ['a file without its hash', 'GET', '/static/page.css', 404],
    ['a doubled slash', 'GET', '//', 404],
    ['the icon of the original Nixery', 'GET', '/favicon.webp', 404],
    ['markup', 'GET', '/%3Cscript%3Ealert(1)%3C/script%3E', 404],
    ['an unknown build', 'GET', `/builds/${randomUUID()}`, 404],
    ['an invalid build id', 'GET', '/builds/%3Cscript%3E', 404],
    ['the list of builds', 'GET', '/builds/', 404],
  ]
  for (const [what, method, path, status] of rows) {
    it(`responds to ${what} with ${status}, with security headers and without markup of the request`, async () => {
      const { headers, text, ...response } = await send(path, method)
      assert.equal(response.status, status)
      assert.equal(headers['content-security-policy'], policyOf(text))
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['referrer-policy'], 'no-referrer')
      assert.equal(headers['content-type'], 'text/html; charset=utf-8')
      assert.equal(headers['content-length'], String(Buffer.byteLength(text)))
      assert.equal(headers['allow'], status === 405 ? 'GET, HEAD' : undefined)
      assert.doesNotMatch(text.replace(ownScript, ''), /<script|javascript:| on[a-z]+=| style=/i)
    })
  }

  it('responds to HEAD as to GET, without the body', async () => {
    for (const path of ['/', '/nothing', await stylePath()]) {
      const [get, head] = [await send(path), await send(path, 'HEAD')]
      assert.equal(head.status, get.status)
      assert.equal(head.text, '')
      assert.equal(head.headers['content-length'], get.headers['content-length'])
      assert.equal(head.headers['content-type'], get.headers['content-type'])
    }
  })

  it('links to static files by the hash of their contents', async () => {
    const { status, headers, text } = await send(await stylePath())
    assert.equal(status, 200)
    assert.equal(headers['content-type'], 'text/css; charset=utf-8')
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.ok((await stylePath()).includes(digestOf(text).slice('sha256:'.length, 'sha256:'.length + 16)))
    const [, logo = ''] = /<link rel="icon"[^>]* href="([^"]+)"/.exec(await page('/')) ?? []
    assert.equal((await send(logo)).headers['content-type'], 'image/svg+xml')
  })

  const stylePath = async () => /<link rel="stylesheet" href="([^"]+)"/.exec(await page('/'))?.[1] ?? ''

  const hosts: [host: string, shown: string | undefined][] = [
    ['nixery.example.org', 'nixery.example.org'],
    ['Nixery.Example.org:8080', 'nixery.example.org:8080'],
    ['localhost', 'localhost'],
    ['nixery', 'nixery:80'], // without the port, a path on Docker Hub
    ['[::1]:5000', '[::1]:5000'],
    ['a.b;reboot', undefined],
    ['a.b:99999', undefined],
    ['a.b:', undefined],
    ['me@a.b', undefined],
    ['-v', undefined],
    ['$(reboot)', undefined],
    ['a.b"><script>alert(1)</script>', undefined],
    ['[::1', undefined],
    [`${'a.'.repeat(150)}b`, undefined],
  ]
  for (const [host, shown] of hosts) {
    it(`shows ${shown ?? 'a placeholder'} for the host ${host.slice(0, 40)}`, async () => {
      const { status, text } = await send('/', 'GET', { Host: host })
      assert.doesNotMatch(text, /<script|reboot/)
      if (status === 400) return assert.equal(shown, undefined) // Node's HTTP parser already refuses it
      assert.equal(status, 200)
      assert.ok(text.includes(`docker pull ${shown ?? 'registry.example'}/shell/git/htop\n`))
    })
  }
})

describe('the page of a build', () => {
  it('shows a success: image, duration, layers', async () => {
    assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
    const { status, headers, text } = await send(await buildPathOf('hello'))
    assert.equal(status, 200)
    assert.equal(headers['content-security-policy'], policyOf(text))
    assert.match(text, /finished<\/span>/)
    assert.match(text, /sha256:[0-9a-f]{64}/)
    assert.match(text, /packed by this build/)
    assert.match(text, /the package set has no usable cacert/)
    assert.doesNotMatch(text, /http-equiv="refresh"/)
  })

  it("shows a failure: Nix's messages, escaped and without secrets", async () => {
    const { message } = await failureOf(server, 'rude')
    assert.ok(message.includes('<script>'), 'the client gets the output of the builder unchanged')
    const path = await buildPathOf('rude')
    for (const text of [await page('/'), await page(path)]) {
      assert.ok(text.includes('&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp;'))
      assert.ok(text.includes('could not be built'))
      assert.doesNotMatch(text, /<script|s3cr3t|czNjcjN0/)
    }
    assert.match(await page(path), /BUILD_FAILED/)
    await failureOf(server, 'nothing-like-it')
    assert.doesNotMatch(await page('/'), /nothing-like-it/)
  })

  it('reloads itself only while the build runs', async () => {
    const pull = requestV2(server, 'slow/manifests/latest')
    let [path, running] = ['/', '']
    await until(async () => {
      path = await buildPathOf('slow').catch(() => '/')
      running = await page(path)
      return /<pre[^>]*>[^<]*begun/.test(running)
    }, 'the page shows the log')
    assert.match(running, /<meta http-equiv="refresh" content="\d+" \/>/)
    assert.match(running, /running<\/span>/)
    gate.open()
    await pull
    assert.doesNotMatch(await page(path), /http-equiv="refresh"/)
  })
})

describe('input from clients', () => {
  it('is shown escaped, whatever it contains', async () => {
    const history = createHistory({ builds: 1, linesPerBuild: 5 })
    const markup = `<img src=x onerror=alert(1)>"'&`
    const resolved = { type: 'resolved', packages: [markup], names: 1, evaluated: 1, ms: 1 } as const
    const error = new NixeryError('BUILD_FAILED', markup, { hint: markup })
    const events = [
      { type: 'started', image: markup },
      resolved,
      { type: 'warning', message: markup },
      { type: 'nix', line: markup },
      { type: 'failed', error, ms: 1 },
    ]
    const id = randomUUID()
    for (const event of events as BuildEvent[]) history.listener(id, event)
    const sets = [{ set: markup, source: markup, revision: markup }]
    const web = createWeb({ history, describe: () => sets, version: markup, ...all })
    for (const path of ['/', `/builds/${id}`]) {
      const reply = await web(path)?.reply(testRequest(path))
      assert.ok(Buffer.isBuffer(reply?.body))
      const text = reply.body.toString()
      assert.doesNotMatch(text, /<img src=x|>"'&/)
      assert.ok(text.includes('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;'))
    }
  })
})

describe('a bug in a page', () => {
  it('reaches the caller', async () => {
    const history = createHistory({ builds: 1, linesPerBuild: 1 })
    const fails = () => {
      throw new TypeError('oh')
    }
    const web = createWeb({ history, describe: fails, version: '1', ...all })
    await assert.rejects(async () => web('/')?.reply(testRequest('/')), /oh/)
  })
})
