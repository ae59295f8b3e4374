import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { ServerProcess } from '../scripts/server.ts'
import { auditEvents } from './support/audit.ts'
import { openBrowser, type BrowserPage } from './support/browser.ts'
import {
  accessibilityErrorsInAllLooks,
  noBrowser,
  openBrowser as openChromium,
  openView,
} from './support/chromium.ts'
import { startFleet } from './support/fleet.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const basic = (name: string) => ({ authorization: `Basic ${btoa(`${name}:right`)}` })

const policy = `
[[rule]]
who = ["user:root"]
may = ["pull", "build", "list", "admin", "keys"]
[[rule]]
who = ["user:watcher"]
may = ["pull", "build", "admin"]
[[rule]]
who = ["user:*"]
may = ["pull"]
[[quota]]
who = ["user:watcher", "group:ci"]
builds = 7
bytes = "5GB"
`

describe('the admin page', () => {
  let workspace: Workspace
  let server: ServerProcess
  let environment: Record<string, string>
  const at = (path: string) => `http://${server.address}${path}`
  const get = (path: string, headers: Record<string, string>) => fetch(at(path), { headers })
  const audit = () => auditEvents(join(workspace.folder, 'audit.log'))
  /** Logs in and opens the admin page. */
  const enter = async (name: string) => {
    const browser = openBrowser()
    const page = await browser.submit(await browser.visit(at('/login?back=%2Fadmin')), {
      name,
      password: 'right',
    })
    return { browser, page }
  }
  /** Removes white space around tags, so that the formatting of the markup does not matter. */
  const tight = (text: string) => text.replaceAll(/\s+/g, ' ').replaceAll(/ ?([<>]) ?/g, '$1')
  const tokenIn = ({ text }: BrowserPage) => /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? ''

  before(async () => {
    workspace = await openWorkspace()
    const inFolder = (name: string) => join(workspace.folder, name)
    const users = ['root', 'watcher', 'alice'].map((name) => `${name}:${hashSync('right', 4)}\n`)
    await writeFile(inFolder('users'), users.join(''))
    await writeFile(inFolder('policy.toml'), policy)
    environment = {
      NIXERY_PKGS_PATH: await workspace.packageSet('a = script "a" "echo a"; b = script "b" "echo b";'),
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_POLICY: inFolder('policy.toml'),
      NIXERY_AUDIT_LOG: inFolder('audit.log'),
      NIXERY_KEEP: '30',
    }
    server = await workspace.serve({ ...environment, NIXERY_QUOTA_BUILDS: '3' })
    const pull = await requestV2(server, 'a/manifests/latest', { headers: basic('watcher') })
    assert.equal(pull.response.status, 200)
  })
  after(() => workspace.dispose())

  it('is only for permitted users, and manages keys only for users with that permission', async () => {
    assert.equal((await get('/admin', {})).status, 401)
    assert.equal((await get('/admin', basic('alice'))).status, 403)
    const { page, browser } = await enter('watcher')
    assert.equal(page.address.pathname, '/admin')
    assert.match(page.text, /you need the action .*keys/)
    assert.doesNotMatch(page.text, /<form/)
    assert.equal((await browser.visit(at('/admin/keys'), { name: 'x' })).status, 403)
    assert.equal((await browser.visit(at('/admin/keys/revoke'), { id: 'x' })).status, 403)
    assert.match(page.text, />watcher<\/span>\s*<a href="\/admin"[^>]*>Administration/)
    const alice = openBrowser()
    const home = await alice.submit(await alice.visit(at('/login?back=%2Fcompose')), {
      name: 'alice',
      password: 'right',
    })
    assert.doesNotMatch(home.text, /href="\/admin"/)
  })

  it('shows the store, what gc would remove, quotas and their usage', async () => {
    let text = ''
    await until(async () => {
      text = tight(await (await get('/admin', basic('root'))).text())
      return text.includes('would be removed')
    })
    assert.match(text, /SQLite, \d/)
    assert.match(text, /<td data-label="disk of">data<\/td>/)
    assert.match(text, /images that were not pulled for 30 days, every /)
    assert.match(text, /in the store<\/dt><dd>\d[^<]* in \d+ blobs, 1 image</)
    assert.match(text, /user:watcher, group:ci<\/td><td data-label="builds an hour">7</)
    assert.match(text, /<td data-label="for">anonymous<\/td><td data-label="builds an hour">3</)
    assert.match(text, />watcher<\/td><td data-label="builds of this hour">1 of 7</)
    assert.ok(!text.includes(workspace.folder), 'the page shows no folders')
    // Basic credentials, which browsers send with forms of other sites, too, allow no changes.
    assert.doesNotMatch(text, /<form/)
    const body = new URLSearchParams({ csrf: '', name: 'x', groups: '', expires: '1d' })
    const forged = await fetch(at('/admin/keys'), { method: 'POST', headers: basic('root'), body })
    assert.equal(forged.status, 400)
  })

  it('creates a key, shows it once, and revokes it, with its own forms only', async () => {
    const { page, browser } = await enter('root')
    const csrf = tokenIn(page)
    for (const wrong of ['', 'x', tokenIn((await enter('root')).page)]) {
      const fields = { csrf: wrong, name: 'robot', groups: 'ci', expires: '1d' }
      assert.equal((await browser.visit(at('/admin/keys'), fields)).status, 400)
    }
    const bad = await browser.visit(at('/admin/keys'), { csrf, name: '<a:b>', groups: 'ci', expires: '1d' })
    assert.equal(bad.status, 400)
    assert.match(bad.text, /role="alert"[^>]*>&quot;&lt;a:b&gt;&quot; is not a valid name/)
    assert.match(bad.text, /value="&lt;a:b&gt;"/)
    const created = await browser.visit(at('/admin/keys'), {
      csrf,
      name: 'robot',
      groups: 'ci, x',
      expires: '1d',
    })
    const [, key = '', id = ''] = /id="key">(nxk_([0-9a-f]{16})_[\w-]{43})</.exec(created.text) ?? []
    const robot = { authorization: `Bearer ${key}` }
    assert.equal((await get('/v2/a/manifests/latest', robot)).status, 200)
    const reloaded = await browser.visit(at('/admin'))
    assert.match(
      tight(reloaded.text),
      new RegExp(`<code>${id}</code></td><td[^>]*>robot</td><td[^>]*>ci, x<`),
    )
    assert.ok(!reloaded.text.includes(key))
    const revoke = (token: string) => browser.visit(at('/admin/keys/revoke'), { csrf: token, id })
    assert.equal((await revoke('x')).status, 400)
    const revoked = await revoke(csrf)
    assert.equal(revoked.address.pathname, '/admin')
    assert.equal((await get('/v2/a/manifests/latest', robot)).status, 401)
    const eventsOfKeys = async () => (await audit()).filter(({ event }) => event === 'key')
    await until(async () => (await eventsOfKeys()).length >= 2, 'the audit log has both events')
    const [ofKey, lines] = [await eventsOfKeys(), await audit()]
    assert.deepEqual(
      ofKey.map(({ what, key: of, user, groups, by }) => ({ what, of, user, groups, by })),
      ['created', 'revoked'].map((what) => ({
        what,
        of: id,
        user: 'robot',
        groups: ['ci', 'x'],
        by: 'root',
      })),
    )
    const secret = key.slice(-43)
    assert.ok(!JSON.stringify(lines).includes(secret) && !JSON.stringify(server.log).includes(secret))
  })

  describe('in a browser', { skip: noBrowser ?? false }, () => {
    let chromium: Browser
    before(async () => {
      chromium = await openChromium()
    })
    after(() => chromium?.close())
    const logIn = async (page: Page) => {
      await page.goto(at('/login?back=%2Fadmin'))
      assert.deepEqual(await accessibilityErrorsInAllLooks(page), [])
      await page.getByLabel('User name').fill('root')
      await page.getByLabel(/Password/).fill('right')
      await page.getByRole('button', { name: 'Log in' }).click()
      await page.getByRole('heading', { name: 'Administration' }).waitFor()
    }
    const use = async (page: Page, context: BrowserContext, errors: readonly string[]) => {
      await logIn(page)
      await page.getByLabel(/User that/).fill('robot')
      await page.getByRole('button', { name: 'Make a key' }).click()
      await page.locator('#key', { hasText: 'nxk_' }).waitFor()
      assert.deepEqual(await accessibilityErrorsInAllLooks(page), [])
      await page.goto(at('/admin'))
      await page.getByText('would be removed').waitFor()
      assert.deepEqual(await accessibilityErrorsInAllLooks(page), [])
      await page.getByRole('button', { name: 'Revoke' }).first().click()
      await page.getByRole('heading', { name: 'Administration' }).waitFor()
      assert.deepEqual(errors, [])
      await context.close()
    }
    for (const scripts of ['on', 'empty'] as const) {
      it(`is accessible in every look, and works, scripts ${scripts}`, async () => {
        const view = { width: 1280, colorScheme: 'light', scripts } as const
        const { context, page, errors } = await openView(chromium, view)
        await use(page, context, errors)
      })
    }
  })

  it('shows the processes and the queue of a fleet', async () => {
    const fleet = await startFleet(workspace, environment)
    try {
      const front = await fleet.front()
      const response = await fetch(`http://${front.address}/admin`, { headers: basic('root') })
      const text = tight(await response.text())
      assert.match(text, /<td data-label="role">front<\/td>/)
      assert.match(text, /0 builds running, 0 queued/)
      assert.match(text, /PostgreSQL, \d/)
    } finally {
      await fleet.dispose()
    }
  })

  it('does not exist without access control', async () => {
    const open = await workspace.serve({ NIXERY_PKGS_PATH: environment['NIXERY_PKGS_PATH'] ?? '' })
    const response = await fetch(`http://${open.address}/admin`)
    assert.equal(response.status, 404)
    assert.match(await response.text(), /NIXERY_AUTH/)
    assert.equal((await fetch(`http://${open.address}/admin/keys`, { method: 'POST' })).status, 404)
  })
})
