import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { Browser, Page } from 'playwright-core'
import { resetPodman } from '../scripts/podman.ts'
import type { ServerProcess } from '../scripts/server.ts'
import { accessibilityErrorsOf, noBrowser, openBrowser, openView, type View } from './support/chromium.ts'
import { allPrograms } from './support/clients/client.ts'
import { containersEnvironment } from './support/clients/podman.ts'
import { until } from './support/until.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

// From a search to the image's page; the copied command pulls the image in between.

const everyView: readonly View[] = [
  { width: 1280, colorScheme: 'light', scripts: 'on' },
  { width: 360, colorScheme: 'dark', scripts: 'off' },
  { width: 360, colorScheme: 'light', scripts: 'on' },
  { width: 1280, colorScheme: 'dark', scripts: 'off' },
]
const views = process.env['NIXERY_CLIENTS'] === 'all' ? everyView : everyView.slice(0, 2)
const nameOf = (view: View) => `walker-${everyView.indexOf(view)}`

describe('the walk from a search to a running container', { skip: noBrowser ?? false }, () => {
  let workspace: Workspace
  let server: ServerProcess
  let browser: Browser
  let env: Readonly<Record<string, string>>
  const at = (path: string) => `http://${server.address}${path}`
  /** The file that a package's builder waits for. */
  const gate = (view: View) => join(workspace.folder, `go-${nameOf(view)}`)

  before(async () => {
    workspace = await openWorkspace()
    const walkers = everyView.map(
      (view) => `${nameOf(view)} = (run "${nameOf(view)}" ''
        echo begun; until [ -e ${gate(view)} ]; do sleep 0.1; done; echo over; mkdir -p $out/bin
        echo "#!\${demo.bashInteractive or demo.bash}/bin/bash" >$out/bin/${nameOf(view)}
        echo 'exit 42' >>$out/bin/${nameOf(view)}; chmod +x $out/bin/${nameOf(view)}'')
        // { meta = { description = "walks a long way"; mainProgram = "${nameOf(view)}"; }; pname = "${nameOf(view)}"; version = "1.0"; };`,
    )
    const demo = `demo = import ${await demoPackages()} { inherit system; };`
    const set = await workspace.packageSet(`${demo} ${walkers.join('\n')}`)
    server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      NIXERY_PAGES: 'full',
      // A sandbox would hide the files.
      NIX_CONFIG: 'sandbox = false',
      NIX_TIMEOUT: '600',
    })
    browser = await openBrowser()
    const [programs] = await allPrograms()
    assert.ok(programs && !('missing' in programs))
    env = await containersEnvironment(programs, join(workspace.folder, 'podman'), { network: 'host' })
    await until(async () => {
      const response = await fetch(at('/api/v1/search?q=walks'))
      return ((await response.json()) as { state: string }).state === 'ready'
    })
  })
  after(async () => {
    await browser?.close()
    if (env) await resetPodman(join(workspace.folder, 'podman'), [], env)
    await workspace?.dispose()
  })

  /** axe needs scripts, so a page without scripts is opened in another window, too. */
  async function assertAccessible(page: Page, view: View): Promise<void> {
    if (view.scripts === 'on') return assert.deepEqual(await accessibilityErrorsOf(page), [], page.url())
    const other = await openView(browser, { ...view, scripts: 'empty' })
    await other.page.goto(page.url())
    assert.deepEqual(await accessibilityErrorsOf(other.page), [], page.url())
    await other.context.close()
  }

  for (const view of views) {
    const { width, colorScheme, scripts } = view
    it(`${width} pixels, ${colorScheme}, scripts ${scripts}`, async () => {
      const name = nameOf(view)
      const { context, page, errors } = await openView(browser, view)
      if (scripts === 'on') await context.grantPermissions(['clipboard-read', 'clipboard-write'])
      await page.goto(at('/'))
      await page.getByRole('searchbox').fill('walks a long')
      await page.keyboard.press('Enter')
      await page.getByRole('link', { name: `Add ${name}` }).click()
      await page.getByRole('link', { name: 'Podman' }).click()
      await page.locator('#snippet', { hasText: 'podman' }).waitFor()
      await assertAccessible(page, view)
      let command = await page.locator('#snippet').innerText()
      if (scripts === 'on') {
        await page.getByRole('button', { name: 'Copy this text' }).click()
        await page.getByRole('button', { name: /^Copied/ }).waitFor()
        command = await page.evaluate('navigator.clipboard.readText()')
      }
      assert.equal(command, `podman run --rm -ti --tls-verify=false ${server.address}/${name} ${name}`)

      // `script` provides a terminal.
      const running = execa('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
        env,
        stdin: 'ignore',
        reject: false,
      })
      const link = page.locator('a[href^="/builds/"]', { hasText: name })
      await until(async () => {
        await page.goto(at('/'))
        return (await link.count()) > 0
      })
      await link.click()
      await page.locator('.log', { hasText: 'begun' }).waitFor()
      await assertAccessible(page, view)
      await writeFile(gate(view), '')
      await page.locator('.log', { hasText: 'over' }).waitFor()
      await page.getByRole('link', { name: 'The image' }).waitFor()
      const { stdout, exitCode } = await running
      // A busy podman may lose a container's last output in a terminal, so the exit code shows that the program ran.
      assert.equal(exitCode, 42, stdout)

      await page.getByRole('link', { name: 'The image' }).click()
      await page.getByRole('heading', { name }).first().waitFor()
      await page.locator('svg.treemap').first().waitFor()
      await assertAccessible(page, view)
      assert.deepEqual(errors, [])
      await context.close()
    })
  }
})
