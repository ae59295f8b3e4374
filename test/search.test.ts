import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import type { ServerProcess } from '../scripts/server.ts'
import { runNixery } from './support/command.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const body = String.raw`
  described = name: meta: (script name "echo ${'$'}{name}") // { inherit meta; pname = name; version = "1.2.3"; };
  hello = described "hello" { description = "greets & <b>more</b>"; mainProgram = "hi"; homepage = "javascript:alert(1)"; license = { spdxId = "MIT"; }; };
  helloPlus = described "hello-plus" { description = "greets twice"; homepage = "https://example.org/"; };
  hello-hidden = described "hello-hidden" { description = "greets nobody"; };
  hello-denied = throw "a denied package was evaluated";
  unavailable = described "hello-unavailable" { available = false; };
  broken = throw "does not evaluate";
  aborts = abort "ends the evaluation";
  plainly = script "hello-plain-1" "echo";
  things = { recurseForDerivations = true; "hello@3" = described "hello-3" { description = "nested"; }; deep = described "deep" { }; };
  unlisted = { hello = described "unlisted" { }; };
`

type SearchResult = {
  state: string
  revision: string
  packages: {
    name: string
    attribute: string
    version: string
    homepage: string | null
    programs: string[]
  }[]
  next: string | null
}

describe('the search', () => {
  let workspace: Workspace
  let server: ServerProcess
  let set: string
  let data: string
  let environment: Record<string, string>
  const as = (name: string) => ({ authorization: `Basic ${Buffer.from(`${name}:right`).toString('base64')}` })
  const [alice, bob, carol] = [as('alice'), as('bob'), as('carol')]
  const get = (path: string, headers: Record<string, string> = alice) =>
    fetch(`http://${server.address}${path}`, { headers })
  const search = async (query: string, headers = alice) => {
    const response = await get(`/api/v1/search?${query}`, headers)
    assert.equal(response.status, 200, query)
    return (await response.json()) as SearchResult
  }
  const names = async (query: string, headers = alice) =>
    (await search(query, headers)).packages.map(({ name }) => name)
  const indexes = async () => (await readdir(join(data, 'search'))).sort()

  before(async () => {
    workspace = await openWorkspace()
    set = await workspace.packageSet(body)
    data = join(workspace.folder, 'data')
    const [users, policy] = ['users', 'policy.toml'].map((name) => join(workspace.folder, name)) as [
      string,
      string,
    ]
    await writeFile(
      users,
      ['alice', 'bob', 'carol'].map((name) => `${name}:${hashSync('right', 4)}\n`).join(''),
    )
    await writeFile(
      policy,
      `[[rule]]
who = ["user:alice"]
may = ["pull", "build"]
[[rule]]
who = ["user:bob"]
may = ["pull"]
packages = ["hello", "things.*"]
[[rule]]
who = ["user:carol"]
may = ["list"]
`,
    )
    environment = {
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_PKGS_PATH: set,
      NIXERY_DENY: 'hello-denied hello-hidden',
      NIXERY_AUTH: 'basic',
      NIXERY_HOST: '127.0.0.1',
      NIXERY_HTPASSWD: users,
      NIXERY_POLICY: policy,
    }
    server = await workspace.serve(environment)
    const isReady = async () => (await search('q=hello')).state === 'ready'
    await until(isReady)
  })
  after(() => workspace.dispose())

  it('finds names, programs, descriptions and nested packages, but no denied or unavailable ones', async () => {
    assert.deepEqual(await names('q=hello'), ['hello', 'helloplus', 'plainly', 'things.hello__at__3'])
    assert.deepEqual(await names('q=hi'), ['hello'])
    assert.deepEqual(await names('q=greets'), ['hello', 'helloplus'])
    assert.deepEqual(await names('q=deep'), ['things.deep'])
    const [hello, plus] = (await search('q=greets')).packages
    assert.deepEqual(hello?.programs, ['hi'])
    assert.equal(hello?.version, '1.2.3')
    // A single server does not share it.
    assert.deepEqual(await readdir(join(data, 'store', 'layers')), [])
    assert.deepEqual([hello?.homepage, plus?.homepage], [null, 'https://example.org/'])
  })

  it('has pages, and refuses invalid queries', async () => {
    const first = await search('q=hello&limit=2')
    assert.deepEqual(
      first.packages.map(({ name }) => name),
      ['hello', 'helloplus'],
    )
    assert.ok(first.next)
    const second = (await (await get(first.next)).json()) as SearchResult
    assert.deepEqual(
      second.packages.map(({ name }) => name),
      ['plainly', 'things.hello__at__3'],
    )
    assert.equal(second.next, null)
    for (const query of [
      '',
      'q=',
      `q=${'a'.repeat(201)}`,
      'q=a&limit=0',
      'q=a&limit=101',
      'q=a&offset=-1',
      'q=a&set=none',
    ]) {
      const response = await get(`/api/v1/search?${query}`)
      assert.equal(response.status, 400, query)
      assert.match(await response.text(), /"message"/)
    }
  })

  it('shows users only what they may pull', async () => {
    assert.deepEqual(await names('q=hello', bob), ['hello', 'things.hello__at__3'])
    assert.deepEqual(await search('q=greets', bob), {
      ...(await search('q=greets&limit=20', bob)),
      query: 'greets',
    })
    // Bob gets the same response for hidden as for missing packages.
    const hidden = await search('q=helloplus', bob)
    const nothing = await search('q=hellominus', bob)
    assert.deepEqual({ ...hidden, query: '' }, { ...nothing, query: '' })
    assert.equal((await get('/api/v1/search?q=hello', carol)).status, 403)
    assert.equal((await get('/api/v1/search?q=hello', {})).status, 401)
    const page = await (await get('/compose?q=hello&p=helloplus', bob)).text()
    assert.match(page, /You may not pull this image/)
    assert.equal((await get('/images/helloplus', bob)).status, 403)
    assert.equal((await get('/images/hello', bob)).status, 404)
    assert.doesNotMatch(page, /greets twice/)
  })

  it('is on the page, escaped and without scripts', async () => {
    const page = await (await get('/compose?q=hello')).text()
    assert.match(page, /greets &amp; &lt;b&gt;more&lt;\/b&gt;/)
    assert.match(page, /<a[^>]*href="\/compose\?q=hello&amp;p=helloplus"[^>]*aria-label="Add helloplus"/s)
    assert.doesNotMatch(page, /javascript:|<b>/)
  })

  it('leads to the page of an image with its tags, layers, packages and configuration', async () => {
    assert.equal((await get('/v2/hello/manifests/latest')).status, 200)
    const image = () => get('/images/hello', bob)
    // What an image consists of is recorded after it is served, and what was read before that is shown for five seconds.
    const isComplete = async () => /<span class="package">hello</.test(await (await image()).text())
    await until(isComplete, 'the page has the packages')
    const page = await (await image()).text()
    assert.match(page, /<svg[^>]*class="treemap"/s)
    assert.match(page, /<span class="package">hello<\/span>.*1\.2\.3.*MIT/s)
    assert.match(page, /PATH=\/usr\/local\/sbin/)
    assert.match(page, /tag=latest&amp;a=amd64/)
    assert.match(page, /hello@sha256:[0-9a-f]{64}</)
    assert.doesNotMatch(page, /just now|>pulls</, 'the page does not show pulls of others')
    assert.match(await (await get('/compose?p=hello')).text(), /href="\/images\/hello"/)
  })

  it('suggests packages for a name that does not exist', async () => {
    const failure = async (name: string) => await (await get(`/v2/${name}/manifests/latest`)).text()
    assert.match(await failure('hi'), /For hi, did you mean hello/)
    assert.match(await failure('deep'), /For deep, did you mean things\.deep/)
  })

  it('is available on the command line, with the index of the server', async () => {
    const { stdout, exitCode } = await runNixery(data, set, ['search', 'greets', '--json'], {
      env: environment,
    })
    assert.equal(exitCode, 0)
    const { packages } = JSON.parse(stdout) as SearchResult
    assert.deepEqual(
      packages.map(({ name }) => name),
      ['hello', 'helloplus'],
    )
    assert.equal((await indexes()).length, 1)
  })

  it('is rebuilt when the package set changes, and when it is damaged', async () => {
    const old = await indexes()
    await writeFile(join(data, 'search', old[0] ?? ''), 'not a database')
    const file = join(set, 'default.nix')
    await writeFile(file, (await readFile(file, 'utf8')).replace('greets twice', 'waves'))
    const { stdout, stderr } = await runNixery(data, set, ['search', 'waves'], { env: environment })
    assert.match(stderr, /cannot be read and will be rebuilt/)
    assert.match(stdout, /^helloplus 1\.2\.3 – waves$/m)
    const rebuilt = await indexes()
    assert.equal(rebuilt.length, 1)
    assert.notDeepEqual(rebuilt, old)
  })
})
