import assert from 'node:assert/strict'

/** The page that a browser shows for an address, after all redirects. */
export type BrowserPage = {
  readonly address: URL
  readonly status: number
  readonly text: string
  /** `Set-Cookie` headers of all responses, including redirects. */
  readonly set: readonly string[]
}

/** A browser without scripts that keeps cookies per host, follows redirects and submits forms. */
export function openBrowser() {
  const jars = new Map<string, Map<string, string>>()
  const jarOf = ({ host }: URL) => {
    const jar = jars.get(host) ?? new Map<string, string>()
    jars.set(host, jar)
    return jar
  }

  async function visit(
    target: string | URL,
    fields?: Readonly<Record<string, string>>,
  ): Promise<BrowserPage> {
    let address = new URL(target)
    let body = fields && new URLSearchParams(fields)
    const set: string[] = []
    for (let hops = 0; hops < 12; hops += 1) {
      const jar = jarOf(address)
      const response = await fetch(address, {
        method: body ? 'POST' : 'GET',
        redirect: 'manual',
        headers: {
          accept: 'text/html,*/*;q=0.8',
          cookie: Array.from(jar, ([name, value]) => `${name}=${value}`).join('; '),
        },
        ...(body && { body }),
      })
      for (const line of response.headers.getSetCookie()) {
        set.push(line)
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name)
        else jar.set(name, value)
      }
      const next = response.headers.get('location')
      if (next === null) return { address, status: response.status, text: await response.text(), set }
      await response.body?.cancel()
      address = new URL(next, address)
      body = undefined
    }
    throw new Error(`${String(target)} redirects too often`)
  }

  return {
    visit,
    /** Submits the form of a page, with its hidden fields and `fields`. */
    submit(page: BrowserPage, fields: Readonly<Record<string, string>> = {}): Promise<BrowserPage> {
      const [, action = ''] = /<form[^>]*\baction="([^"]+)"/.exec(page.text) ?? []
      assert.notEqual(action, '', page.text)
      const hidden = [...page.text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)]
      const own = Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, value]))
      return visit(new URL(action, page.address), { ...own, ...fields })
    },
    /** Follows the first link whose text matches. */
    follow(page: BrowserPage, text: RegExp): Promise<BrowserPage> {
      const links = [...page.text.matchAll(/<a\s[^>]*?href="([^"]+)"[^>]*>([^<]*)</g)]
      const [, href = ''] = links.find(([, , shown = '']) => text.test(shown)) ?? []
      assert.notEqual(href, '', page.text)
      return visit(new URL(href.replaceAll('&amp;', '&'), page.address))
    },
    /** The cookies of a host. */
    cookies: (host: string): Map<string, string> => jarOf(new URL(`http://${host}`)),
  }
}
