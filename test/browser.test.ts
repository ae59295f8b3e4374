import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import type { ServerProcess } from '../scripts/server.ts'
import { accessibilityErrorsInAllLooks, noBrowser, openBrowser, openView } from './support/chromium.ts'
import { createGate } from './support/gate.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const gate = createGate()
const body = String.raw`
  described = name: meta: (script name "echo ${'$'}{name}") // { inherit meta; pname = name; version = "1.2.3"; };
  htop = described "htop" { description = "interactive viewer of processes"; mainProgram = "htop"; license = { spdxId = "GPL-2.0-only"; }; homepage = "https://example.org/"; };
  hello = described "hello" { description = "greets"; mainProgram = "hello"; };
  later = described "later" { description = "greets later"; };
  soon = described "soon" { description = "will be pulled"; mainProgram = "soon"; };
  slow = run "slow" "echo begun; ${gate.wait}; echo over; mkdir -p $out/bin; echo x > $out/bin/slow";
  bad = run "bad" "echo it is broken; exit 1";
`

describe('the pages in a browser', { skip: noBrowser ?? false }, () => {
  let workspace: Workspace
  let server: ServerProcess
  let browser: Browser
  const at = (path: string) => `http://${server.address}${path}`
  const text = async (page: Page, selector: string) =>
    (await page.locator(selector).first().innerText()).trim()

  before(async () => {
    workspace = await openWorkspace()
    const set = await workspace.packageSet(body)
    server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_PAGES: 'full' })
    browser = await openBrowser()
    assert.equal((await requestV2(server, 'hello/htop/manifests/latest')).response.status, 200)
    assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
    await requestV2(server, 'bad/manifests/latest')
    const isReady = async () => {
      const response = await fetch(at('/api/v1/search?q=hello'))
      return ((await response.json()) as { state: string }).state === 'ready'
    }
    await until(isReady)
    await until(async () => (await fetch(at('/images/hello/htop'))).ok)
  })
  after(async () => {
    await browser?.close()
    await workspace?.dispose()
    gate.dispose()
  })

  it('find a package, compose an image, and copy its command, with JavaScript', async () => {
    const { context, page, errors } = await openView(browser, {
      width: 1280,
      colorScheme: 'light',
      scripts: 'on',
    })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.goto(at('/'))
    await page.getByRole('searchbox').fill('viewer of proc')
    await page.keyboard.press('Enter')
    const add = page.getByRole('link', { name: 'Add htop' })
    await add.waitFor()
    // A reload would lose this variable.
    await page.evaluate('window.isSame = true')
    await add.focus()
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'Remove htop' }).first().waitFor()
    assert.equal(await page.evaluate('document.activeElement.id'), 'toggle-htop', 'the focus stays')
    await page.getByRole('searchbox').fill('hello')
    await page.getByRole('link', { name: 'Add hello' }).click()
    await page.locator('#name', { hasText: 'hello/htop' }).waitFor()
    assert.equal(new URL(page.url()).search, '?q=hello&p=htop&p=hello')
    await page.locator('svg.treemap').waitFor()
    await page.getByRole('link', { name: 'Podman' }).click()
    await page.locator('#snippet', { hasText: 'podman' }).waitFor()
    await page.getByRole('button', { name: 'Copy this text' }).click()
    await page.getByRole('button', { name: /^Copied/ }).waitFor()
    const copied = await page.evaluate('navigator.clipboard.readText()')
    assert.equal(copied, `podman run --rm -ti --tls-verify=false ${server.address}/hello/htop htop`)
    await page.getByRole('link', { name: /history of this image/ }).click()
    await page.getByText('to download in').waitFor()
    await page.goBack()
    await page.evaluate('window.isSame = true')
    // Layers of a marked image count as downloaded, also after a reload.
    await page.getByRole('link', { name: 'I have this image' }).click()
    await page.getByRole('link', { name: 'I do not have this image' }).waitFor()
    assert.equal(await page.evaluate('window.isSame'), true)
    await page.goto(at('/compose?p=hello'))
    await page.getByText('Layers of hello/htop count as downloaded').waitFor()
    await page.goBack()
    await page.locator('#name', { hasText: 'hello/htop' }).waitFor()
    assert.deepEqual(errors, [])
    await context.close()
  })

  it('look again for the size of an image, also when the server did not respond', async () => {
    const { context, page } = await openView(browser, { width: 1280, colorScheme: 'light', scripts: 'on' })
    await page.clock.install()
    await page.goto(at('/compose?p=soon'))
    await page.locator('.size', { hasText: 'Nobody has pulled soon' }).waitFor()
    await page.evaluate('window.isSame = true')
    let polls = 0
    await page.route('**/compose?p=soon', (route) => {
      polls += 1
      if (polls === 1) return route.abort()
      return polls === 2 ? route.fulfill({ status: 503 }) : route.continue()
    })
    assert.equal((await requestV2(server, 'soon/manifests/latest')).response.status, 200)
    await until(async () => (await (await fetch(at('/compose?p=soon'))).text()).includes('class="treemap"'))
    await until(async () => {
      await page.clock.runFor(1_000)
      return polls > 2
    })
    await page.locator('svg.treemap').waitFor()
    assert.equal(await page.evaluate('window.isSame'), true, 'the page does not reload')
    await context.close()
  })

  it('do not lose a click to a poll that is due before its answer', async () => {
    const { context, page } = await openView(browser, { width: 1280, colorScheme: 'light', scripts: 'on' })
    await page.clock.install()
    await page.goto(at('/compose?p=no-such-package'))
    const isDue = Promise.withResolvers<void>()
    await page.route('**/compose?*use=podman', async (route) => {
      await isDue.promise
      await route.continue()
    })
    await page.getByRole('link', { name: 'Podman' }).click()
    await page.clock.runFor(120_000)
    isDue.resolve()
    await page.locator('#snippet', { hasText: 'podman' }).waitFor()
    await context.close()
  })

  it('show the growing log of a running build, and its end', async () => {
    const { context, page, errors } = await openView(browser, {
      width: 1280,
      colorScheme: 'dark',
      scripts: 'on',
    })
    const pull = requestV2(server, 'slow/manifests/latest')
    const link = page.locator('a[href^="/builds/"]', { hasText: 'slow' })
    await until(async () => {
      await page.goto(at('/'))
      return (await link.count()) > 0
    })
    await link.click()
    await page.evaluate('window.isSame = true')
    await page.locator('.log', { hasText: 'begun' }).waitFor()
    gate.open()
    await page.locator('[role=status] .finished').waitFor()
    await page.locator('.log', { hasText: 'over' }).waitFor()
    await page.getByRole('link', { name: 'The image' }).waitFor()
    assert.equal(await page.evaluate('window.isSame'), true, 'the page does not reload')
    assert.equal((await pull).response.status, 200)
    assert.deepEqual(errors, [])
    await context.close()
  })

  it('work without JavaScript', async () => {
    const { context, page } = await openView(browser, {
      width: 360,
      colorScheme: 'dark',
      scripts: 'off',
    })
    await page.goto(at('/compose'))
    await page.getByRole('searchbox').fill('greets')
    await page.getByRole('button', { name: 'Search' }).click()
    await page.getByRole('link', { name: 'Add hello' }).click()
    await page.getByRole('link', { name: 'Add later' }).click()
    assert.match(await text(page, '#name'), /hello\/later$/)
    assert.match(await text(page, '.size'), /At least .* Nobody has pulled later/s)
    await page.getByRole('link', { name: 'Remove later' }).first().click()
    await page.getByRole('link', { name: 'amd64', exact: true }).click()
    await page.getByRole('link', { name: 'Dockerfile' }).click()
    assert.match(await text(page, '#snippet'), /COPY --from=\S+\/amd64\/hello \/nix\/store/)
    assert.equal(await page.getByRole('button', { name: /Copy/ }).count(), 0)
    await context.close()
  })

  // axe needs scripts. To check a page as it is without them, its own are empty.
  for (const scripts of ['on', 'empty'] as const) {
    it(`are accessible in every look, and comply with their content security policy: scripts ${scripts}`, async () => {
      const { context, page, errors } = await openView(browser, {
        width: 1280,
        colorScheme: 'light',
        scripts,
      })
      await page.goto(at('/'))
      const buildOf = async (name: string) => {
        const links = page.locator('a[href^="/builds/"]', { hasText: new RegExp(`^${name}$`) })
        return (await links.first().getAttribute('href')) ?? assert.fail(`no link to ${name}`)
      }
      const withScripts = [
        '/compose?q=hello&p=hello&p=htop',
        '/compose?q=nothing-has-this-name',
        '/compose?p=hello&p=no-such-package',
        '/images/hello/htop',
      ]
      const others = [
        '/',
        '/images/later',
        '/images/no-such-package',
        await buildOf('hello/htop'),
        await buildOf('bad'),
        '/docs',
        '/docs/recipes',
        '/docs/configuration',
        '/nothing',
      ]
      for (const path of scripts === 'on' ? [...withScripts, ...others] : withScripts) {
        await page.goto(at(path))
        assert.deepEqual(await accessibilityErrorsInAllLooks(page), [])
      }
      // The browser also reports the pages that are an answer with status 404.
      assert.deepEqual(
        errors.filter((line) => !line.includes('status of 404')),
        [],
      )
      await context.close()
    })
  }
})
