import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'

const executablePath = '/usr/bin/chromium'

/** Why there is no browser; undefined if there is one. */
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
  /** `empty`: the pages' scripts are empty, but the test can still evaluate scripts. */
  readonly scripts: 'on' | 'off' | 'empty'
}

const widths: readonly View['width'][] = [1280, 360]
const colorSchemes: readonly View['colorScheme'][] = ['light', 'dark']

/** Opens a page in a new browser profile, and collects its errors, including violations of its content security policy. */
export async function openView(
  browser: Browser,
  { width, colorScheme, scripts }: View,
): Promise<{ context: BrowserContext; page: Page; errors: string[] }> {
  const context = await browser.newContext({
    colorScheme,
    javaScriptEnabled: scripts !== 'off',
    viewport: { width, height: 900 },
  })
  const nothing = { contentType: 'text/javascript', body: '' }
  if (scripts === 'empty') await context.route('**/static/*.js', (route) => route.fulfill(nothing))
  // Pages load slowly on a busy machine.
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  return { context, page, errors }
}

const axe = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** The accessibility violations that axe reports for a page, and whether the page is wider than the window. */
export async function accessibilityErrorsOf(page: Page): Promise<string[]> {
  await page.evaluate(await axe)
  const { violations, isTooWide } = (await page.evaluate(
    `axe.run().then(({ violations }) => ({
      violations,
      isTooWide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    }))`,
  )) as { violations: { id: string; nodes: { html: string }[] }[]; isTooWide: boolean }
  const messages = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join('\n  ')}`,
  )
  return isTooWide ? [...messages, 'wider than the window'] : messages
}

/** `accessibilityErrorsOf` at both widths and in both color schemes, without loading the page again. */
export async function accessibilityErrorsInAllLooks(page: Page): Promise<string[]> {
  const found: string[] = []
  for (const width of widths) {
    for (const colorScheme of colorSchemes) {
      await page.setViewportSize({ width, height: 900 })
      await page.emulateMedia({ colorScheme })
      const errors = await accessibilityErrorsOf(page)
      found.push(...errors.map((error) => `${page.url()}, ${width} pixels, ${colorScheme}: ${error}`))
    }
  }
  return found
}
