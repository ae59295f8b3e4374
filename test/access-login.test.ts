import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import type { ServerProcess } from '../scripts/server.ts'
import { openSqliteCatalog } from '../src/catalog/sqlite.ts'
import { makeApiKey } from '../src/credentials/api-key.ts'
import { openBrowser } from './support/browser.ts'
import { openOidcProvider, pages, robot, type OidcProvider } from './support/oidc.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const policy = (url: string, secret: string) => `
[[issuer]]
name = "corp"
url = "${url}"
audience = "nixery"
groups = "groups"
login = { client = "${pages.id}", secret = "${secret}", scope = "openid groups" }

[[rule]]
who = ["issuer:corp client_id=${robot.id}"]
may = ["pull", "build"]

[[rule]]
who = ["group:dev", "user:alice", "user:ci"]
may = ["pull", "list", "logs"]
packages = ["public"]
`

describe('an OpenID provider', () => {
  let workspace: Workspace
  let provider: OidcProvider
  let server: ServerProcess
  let token: string
  const inFolder = (name: string) => join(workspace.folder, name)
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://${server.address}${path}`, { headers })
  const at = (path: string) => `http://${server.address}${path}`

  before(async () => {
    workspace = await openWorkspace()
    provider = await openOidcProvider()
    await writeFile(inFolder('secret'), `${pages.secret}\n`)
    await writeFile(inFolder('users'), `alice:${hashSync('right', 4)}\n`)
    await writeFile(inFolder('policy.toml'), policy(provider.url, inFolder('secret')))
    server = await workspace.serve({
      NIXERY_DATA: inFolder('data'),
      NIXERY_PKGS_PATH: await workspace.packageSet(
        'public = script "public" "echo public"; private = script "private" "echo private";',
      ),
      NIXERY_AUTH: 'token',
      NIXERY_PAGES: 'full',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_POLICY: inFolder('policy.toml'),
      NIXERY_AUDIT_LOG: inFolder('audit.log'),
    })
    await provider.start(at('/login/callback'))
    token = await provider.tokenOfRobot()
  })
  after(async () => {
    provider.stop()
    await workspace.dispose()
  })

  it('authenticates programs by a JWT, as bearer token and as password', async () => {
    for (const name of ['public', 'private'])
      assert.equal((await get(`/v2/${name}/manifests/latest`, bearer(token))).status, 200)
    const response = await get('/token?scope=repository:public:pull', basic('anything', token))
    assert.equal(response.status, 200)
    const { token: own } = (await response.json()) as { token: string }
    assert.equal((await get('/v2/public/manifests/latest', bearer(own))).status, 200)
    // A session expires with the token that was used as password.
    const browser = openBrowser()
    const page = await browser.submit(await browser.visit(at('/login')), { name: '', password: token })
    const cookie = page.set.find((line) => line.startsWith('__Host-nixery-session=')) ?? ''
    const { exp } = JSON.parse(atob(token.split('.')[1] ?? '')) as { exp: number }
    const seconds = Number(/Max-Age=(\d+)/.exec(cookie)?.[1])
    assert.ok(seconds > 0 && seconds <= exp - Date.now() / 1000 + 60, cookie)
    const [header = '', claims = '', signature = ''] = token.split('.')
    const forged = `${header}.${claims}.${signature.split('').reverse().join('')}`
    assert.equal((await get('/v2/', bearer(forged))).status, 401)
  })

  it('logs users in to the pages, which show only what they may see', async () => {
    const browser = openBrowser()
    const loginPage = await browser.visit(at('/'))
    assert.equal(loginPage.address.pathname, '/login')
    const atProvider = await browser.follow(loginPage, /corp/)
    assert.match(atProvider.address.href, new RegExp(`^${provider.url}/interaction/`))
    const consent = await browser.submit(atProvider, { login: 'anna', password: 'x' })
    const home = await browser.submit(consent)
    assert.equal(home.address.href, at('/'))
    assert.match(home.text, /corp:anna/)
    const cookie = home.set.find((line) => line.startsWith('__Host-nixery-session=')) ?? ''
    assert.match(cookie, /; Path=\/; Max-Age=\d+; HttpOnly; Secure; SameSite=Lax$/)

    const links = [...home.text.matchAll(/href="(\/builds\/[^"]+)">([^<]+)/g)]
    assert.deepEqual([...new Set(links.map(([, , name]) => name))], ['public'])
    assert.equal((await browser.visit(at(links[0]?.[1] ?? ''))).status, 200)
    const privateBuild = () =>
      server.log.find(({ msg, image }) => msg === 'build started' && image === 'private')
    await until(() => privateBuild() !== undefined, 'the log has the build')
    assert.equal((await browser.visit(at(`/builds/${String(privateBuild()?.['build'])}`))).status, 403)
    // The cookie authenticates pages, not the registry.
    const headers = {
      cookie: `__Host-nixery-session=${browser.cookies(server.address).get('__Host-nixery-session')}`,
    }
    assert.equal((await get('/v2/', headers)).status, 401)
    assert.equal((await get('/', headers)).status, 200)
  })

  it('completes no login in another browser, or twice', async () => {
    const browser = openBrowser()
    const atProvider = await browser.follow(await browser.visit(at('/login')), /corp/)
    const consent = await browser.submit(atProvider, { login: 'eve', password: 'x' })
    const [, action = ''] = /<form[^>]*\baction="([^"]+)"/.exec(consent.text) ?? []
    // Eve takes the provider's redirect without following it, and has a victim follow it.
    const victim = openBrowser()
    const jar = browser.cookies(server.address)
    const loginCookie = jar.get('__Host-nixery-login') ?? ''
    jar.delete('__Host-nixery-login')
    const back = await browser.submit({ ...consent, address: new URL(action, consent.address) })
    assert.equal(back.status, 400)
    assert.equal((await victim.visit(back.address)).status, 400)
    // The same, after the victim has started a login.
    await victim.follow(await victim.visit(at('/login')), /corp/)
    const mixed = await victim.visit(back.address)
    assert.equal(mixed.status, 401)
    assert.match(mixed.text, /These credentials are not valid/)
    assert.ok(loginCookie.length > 0 && !victim.cookies(server.address).has('__Host-nixery-session'))
  })
})

describe('the login page', () => {
  let workspace: Workspace
  let server: ServerProcess
  const inFolder = (name: string) => join(workspace.folder, name)
  const at = (path: string) => `http://${server.address}${path}`
  before(async () => {
    workspace = await openWorkspace()
    await writeFile(inFolder('users'), `alice:${hashSync('right', 4)}\n`)
    server = await workspace.serve({
      NIXERY_DATA: inFolder('data'),
      NIXERY_PKGS_PATH: await workspace.packageSet('a = script "a" "echo a";'),
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_AUDIT_LOG: inFolder('audit.log'),
    })
  })
  after(() => workspace.dispose())

  it('accepts names and passwords, only with the CSRF token of its form', async () => {
    const browser = openBrowser()
    const first = await browser.visit(at('/'))
    assert.equal(first.address.href, at('/login?back=%2F'))
    const forged = await browser.visit(at('/login'), { name: 'alice', password: 'right' })
    assert.equal(forged.status, 400)
    const otherBrowser = await openBrowser().submit(first, { name: 'alice', password: 'right' })
    assert.equal(otherBrowser.status, 400)
    const wrong = await browser.submit(first, { name: 'alice', password: 'wrong' })
    assert.equal(wrong.status, 401)
    const home = await browser.submit(wrong, { name: 'alice', password: 'right' })
    assert.equal(home.address.href, at('/'))
    assert.match(home.text, />alice<\/span>\s*<a href="\/logout">/)
    const log = async () => readFile(inFolder('audit.log'), 'utf8')
    await until(async () => /"event":"login".*"user":"alice"/.test(await log()))
    assert.match(await log(), /"event":"refused".*"reason":"wrong password"/)
    assert.doesNotMatch(`${await log()}${JSON.stringify(server.log)}`, /__Host-nixery|right/)
    for (const back of ['//evil.example', 'https://evil.example/', '/\\evil.example', '/v2/']) {
      const page = await browser.visit(at(`/login?back=${encodeURIComponent(back)}`))
      assert.equal((await browser.submit(page, { name: 'alice', password: 'right' })).address.href, at('/'))
    }
  })

  it('accepts API keys until they are revoked', async () => {
    const catalog = await openSqliteCatalog(join(inFolder('data'), 'catalog.db'))
    const { key, id, hash } = makeApiKey()
    const now = Math.floor(Date.now() / 1000)
    await catalog.apiKeys.add({ id, name: 'ci', hash, groups: [], createdAt: now, expiresAt: now + 900 })
    const browser = openBrowser()
    const home = await browser.submit(await browser.visit(at('/login')), { name: '', password: key })
    assert.match(home.text, />ci<\/span>/)
    await catalog.apiKeys.revoke(id, now)
    await catalog.close()
    assert.equal((await browser.visit(at('/'))).address.pathname, '/login')
  })

  it('logs out, with its own form only', async () => {
    const browser = openBrowser()
    await browser.submit(await browser.visit(at('/login')), { name: 'alice', password: 'right' })
    const cookie = browser.cookies(server.address).get('__Host-nixery-session') ?? ''
    assert.equal((await browser.visit(at('/logout'), { csrf: 'x' })).status, 400)
    assert.equal((await browser.visit(at('/'))).status, 200)
    await browser.submit(await browser.visit(at('/logout')))
    assert.equal((await browser.visit(at('/'))).address.pathname, '/login')
    const afterLogout = await fetch(at('/'), { headers: { cookie: `__Host-nixery-session=${cookie}` } })
    assert.equal(afterLogout.status, 401)
    assert.equal((await fetch(at('/'), { headers: { cookie: '__Host-nixery-session=x.y.z' } })).status, 401)
    assert.equal((await fetch(at('/logout'), { method: 'DELETE' })).status, 405)
  })
})
