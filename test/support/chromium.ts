import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'

const executablePath = '/usr/bin/chromium'

/** Why there is no browser here; undefined if there is one. */
export const noBrowser: string | undefined = existsSync(executablePath)
  ? undefined
  : 'there is no /usr/bin/chromium: apt-get install chromium'

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })

export type View = {
  readonly width: 360 | 1280
  readonly colorScheme: 'light' | 'dark'
  /** `empty`: the scripts of pages do nothing, and those of tests can run. */
  readonly scripts: 'on' | 'off' | 'empty'
}

/** Every way to look at a page that is looked at. */
export const views: readonly View[] = [
  { width: 1280, colorScheme: 'light', scripts: 'on' },
  { width: 1280, colorScheme: 'dark', scripts: 'empty' },
  { width: 360, colorScheme: 'light', scripts: 'empty' },
  { width: 360, colorScheme: 'dark', scripts: 'on' },
]

/** A new profile of the browser, and a list of what its pages complain about: violations of their policy, and errors. */
export async function openView(
  browser: Browser,
  { width, colorScheme, scripts }: View,
): Promise<{ context: BrowserContext; page: Page; complaints: string[] }> {
  const context = await browser.newContext({
    colorScheme,
    javaScriptEnabled: scripts !== 'off',
    viewport: { width, height: 900 },
  })
  const nothing = { contentType: 'text/javascript', body: '' }
  if (scripts === 'empty') await context.route('**/static/*.js', (route) => route.fulfill(nothing))
  // A busy machine is slow, and not broken.
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  return { context, page, complaints }
}

const axe = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe says of a page, and whether it is wider than the window. */
export async function barriersOf(page: Page): Promise<string[]> {
  await page.evaluate(await axe)
  const { violations, isTooWide } = (await page.evaluate(
    `axe.run().then(({ violations }) => ({
      violations,
      isTooWide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    }))`,
  )) as { violations: { id: string; nodes: { html: string }[] }[]; isTooWide: boolean }
  const said = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join('\n  ')}`,
  )
  return isTooWide ? [...said, 'wider than the window'] : said
}
