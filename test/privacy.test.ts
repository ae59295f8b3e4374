import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { logOf } from './support/log.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'

// All secrets of this test contain this text.
const secret = /s3cr3t/i

let workspace: Workspace
let set: string
let server: ServerProcess
let open: ServerProcess
before(async () => {
  workspace = await openWorkspace()
  set = await workspace.packageSet(String.raw`
    leaking = run "leaking" ''
      echo 'Authorization: Bearer s3cr3t-s3cr3t-s3cr3t'
      echo GITHUB_TOKEN=ghp_s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t
      printf 'dckr_pat_s3\033[1mcr3ts3cr3ts3cr3t\n'
      echo https://bob:s3cr3t@example.org/x?private_token=s3cr3t
      echo '-----BEGIN RSA PRIVATE KEY-----'; echo s3cr3ts3cr3ts3cr3t; echo s3cr3t=; echo '-----END RSA PRIVATE KEY-----'
      echo known to the server: s3cr3t/of+the/bucket; echo token of Nix: nixs3cr3t
      printf '%01990d %s\n' 0 ghp_s3cr3ts3cr3ts3cr3ts3cr3t
      echo /build/source/main.c:3:4: error: plain words stay; exit 1'';
    place = 1 + "a";
    file = import ./missing.nix;
    slow = run "slow" "sleep 3; echo > $out";
    failing = run "failing" "exit 1";
  `)
  ;[server, open] = await Promise.all([
    workspace.serve(environment()),
    workspace.serve({
      ...environment(),
      NIXERY_SHOW_TRACES: 'on',
      NIXERY_PAGES: 'off',
      NIXERY_MAX_WAIT: '1',
    }),
  ])
})
after(() => workspace.dispose())

const environment = () => ({
  NIXERY_PKGS_PATH: set,
  S3_ACCESS_KEY: 'S3CR3TACCESSKEY',
  S3_SECRET_KEY: 's3cr3t/of+the/bucket',
  NIX_CONFIG: 'access-tokens = example.org=PAT:nixs3cr3t',
})

const page = async (from: ServerProcess, path: string): Promise<string> =>
  (await fetch(`http://${from.address}${path}`)).text()

const buildOf = async (from: ServerProcess, image: string): Promise<string> => {
  const line = (await logOf(from)).find(({ msg, image: name }) => msg === 'build started' && name === image)
  return `/builds/${String(line?.['build'])}`
}

/** Everything that users see of a failed pull: the response, the page of the build, and the home page. */
async function visibleOf(from: ServerProcess, name: string): Promise<{ response: string; pages: string }> {
  const { text } = await requestV2(from, `${name}/manifests/latest`)
  const pages = `${await page(from, '/')}${await page(from, await buildOf(from, name))}`
  return { response: text, pages }
}

describe('a secret', () => {
  it('printed by a builder reaches neither responses nor pages nor the log', async () => {
    const { response, pages } = await visibleOf(server, 'leaking')
    const log = JSON.stringify(await logOf(server))
    for (const text of [response, pages, log]) {
      assert.doesNotMatch(text, secret)
      assert.match(text, /main\.c:3:4: error: plain words stay/)
      assert.match(text, /Authorization: …/)
    }
    const link = `log: http://${server.address}${await buildOf(server, 'leaking')}"`
    assert.ok(response.includes(link), 'the response ends with the URL of the page')
  })

  it('in a URL of the operator is never shown, even if the URL fails', async () => {
    const refusing = createServer((_, response) => response.writeHead(403).end())
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve))
    const { port } = refusing.address() as AddressInfo
    const channel = await workspace.serve({
      NIXERY_CHANNEL: 'stable',
      NIXERY_CHANNEL_URL: `http://me:s3cr3t-pass@127.0.0.1:${port}/{channel}.tar.gz?private_token=s3cr3t-parameter`,
    })
    const { text } = await requestV2(channel, 'hello/manifests/latest')
    assert.match(text, /cannot be fetched/)
    for (const visible of [text, await page(channel, '/'), JSON.stringify(await logOf(channel))]) {
      assert.doesNotMatch(visible, secret)
    }
    assert.equal(await channel.stop(), 0)
    refusing.close()
  })
})

describe('files of the operator', () => {
  // Errors with a position in the set's code, and with the path of a file.
  const names = ['place', 'file']

  it('are named in the log, but not to clients', async () => {
    for (const name of names) {
      const { response, pages } = await visibleOf(server, name)
      for (const visible of [response, pages]) {
        assert.match(visible, /does not evaluate/)
        assert.ok(!visible.includes(workspace.folder), visible)
        assert.doesNotMatch(visible, /default\.nix|1 \+ (?:\\"|&quot;)a/)
      }
    }
    assert.ok(JSON.stringify(await logOf(server)).includes(join(set, 'default.nix')))
  })

  it('are shown to everyone with NIXERY_SHOW_TRACES=on', async () => {
    // On a busy machine, its clients get a retry response at first.
    let { response, text } = await requestV2(open, 'file/manifests/latest')
    while (response.status === 429) ({ response, text } = await requestV2(open, 'file/manifests/latest'))
    assert.ok(text.includes(join(set, 'missing.nix')), text)
  })
})

describe('pages', () => {
  it('list no builds by default, and show a build without its image name to clients with a link to it', async () => {
    await requestV2(server, 'leaking/manifests/latest')
    const home = await page(server, '/')
    assert.match(home, /docker pull/)
    assert.doesNotMatch(home, /leaking|\/builds\//)
    assert.ok(!home.includes(workspace.folder), home)
    const build = await page(server, await buildOf(server, 'leaking'))
    assert.match(build, /could not be built/)
    const [title, heading] = [/<title>.*?<\/title>/.exec(build), /<h1.*?<\/h1>/s.exec(build)]
    assert.doesNotMatch(`${title?.[0]} ${heading?.[0]}`, /leaking/)
    assert.ok(!build.includes(workspace.folder), build)
  })

  it('do not exist with NIXERY_PAGES=off, and no response links to one', async () => {
    const { response, text } = await requestV2(open, 'slow/manifests/latest')
    assert.equal(response.status, 429)
    assert.equal(response.headers.get('Link'), null)
    let failed = await requestV2(open, 'failing/manifests/latest')
    while (failed.response.status === 429) failed = await requestV2(open, 'failing/manifests/latest')
    assert.equal(failed.response.status, 422)
    const visible = `${text} ${failed.text} ${response.headers.get('Warning')}`
    assert.doesNotMatch(visible, /\/builds\/|[0-9a-f]{8}-[0-9a-f]{4}-/)
    for (const path of ['/', await buildOf(open, 'slow'), '/static/page.css', '/nothing']) {
      const pageResponse = await fetch(`http://${open.address}${path}`)
      assert.equal(pageResponse.status, 404, path)
      const { errors } = (await pageResponse.json()) as Failure
      assert.equal(errors[0]?.code, 'UNSUPPORTED')
    }
  })
})
