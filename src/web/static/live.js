// @ts-check
// Follows the page's links and forms without leaving it: fetches the target page and replaces the contents of the
// elements with `data-part`. The server renders everything, so the page also works without this script.

/** @type {AbortController | undefined} */
let running
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer
const key = 'nixery-images'
// The number of polls in a row that failed or found nothing new, and its maximum: about eight minutes.
let misses = 0
const mostMisses = 12
/** The HTML that each part had when it was shown. @type {WeakMap<Element, string>} */
const shown = new WeakMap()
for (const part of document.querySelectorAll('[data-part]')) shown.set(part, part.innerHTML)

/**
 * @param {string} name
 * @param {ParentNode} root
 */
const partOf = (name, root = document) => root.querySelector(`[data-part="${name}"]`)

/**
 * Shows the page at a URL.
 * @param {string | URL} address
 * @param {'push' | 'replace' | 'none' | 'poll'} history `poll` keeps the page if the server does not respond
 */
async function show(address, history) {
  running?.abort()
  clearTimeout(timer) // a poll must not abort what the reader has asked for
  const own = new AbortController()
  running = own
  document.body.setAttribute('aria-busy', 'true')
  try {
    const response = await fetch(address, { signal: own.signal, headers: { Accept: 'text/html' } })
    if (!response.ok) throw new Error(String(response.status), { cause: response.status })
    const page = new DOMParser().parseFromString(await response.text(), 'text/html')
    const focused = document.activeElement?.id
    for (const part of document.querySelectorAll('[data-part]')) {
      const next = partOf(part.getAttribute('data-part') ?? '', page)
      // Polls leave what has not changed, which may be selected or opened.
      if (!next || (history === 'poll' && next.innerHTML === shown.get(part))) continue
      shown.set(part, next.innerHTML)
      part.replaceChildren(...next.childNodes)
    }
    document.title = page.title
    if (history === 'push') window.history.pushState(null, '', address)
    if (history === 'replace') window.history.replaceState(null, '', address)
    if (focused && document.activeElement?.id !== focused) focusAgain(focused)
    if (history === 'push') remember()
    misses = history === 'poll' && document.querySelector('[data-poll="less"]') ? misses + 1 : 0
    prepare()
  } catch (error) {
    if (own.signal.aborted) return
    if (history === 'poll' && mayPass(error)) {
      misses += 1
      return pollLater()
    }
    // Let the browser load the page, or show the error.
    window.location.assign(address)
  } finally {
    if (running === own) document.body.removeAttribute('aria-busy')
  }
}

/** Whether a server that is stopping or busy, or the network, may have caused an error. @param {unknown} error */
function mayPass(error) {
  const status = error instanceof Error && typeof error.cause === 'number' ? error.cause : 503
  return status === 429 || status >= 500
}

/** @param {string} id of the element that had the focus before it was replaced */
function focusAgain(id) {
  const element = document.getElementById(id) ?? document.getElementById('query')
  element?.focus({ preventScroll: true })
}

/** The URL of a submitted form. @param {HTMLFormElement} form */
function addressOf(form) {
  const address = new URL(form.action)
  for (const [name, value] of new FormData(form)) {
    if (typeof value === 'string' && value !== '') address.searchParams.append(name, value)
  }
  return address
}

/** After each change: shows elements that need a script, and polls for pending results. */
function prepare() {
  for (const button of document.querySelectorAll('button.copy')) button.removeAttribute('hidden')
  clearTimeout(timer)
  if (document.querySelector('[data-poll]')) pollLater()
}

/** Polls after two seconds, later after each miss, and not at all after many. */
function pollLater() {
  clearTimeout(timer)
  if (document.hidden || misses >= mostMisses) return
  timer = setTimeout(() => void show(window.location.href, 'poll'), Math.min(2000 * 2 ** misses, 60_000))
}

/** Remembers which images the reader has. */
function remember() {
  const images = document.querySelector('[data-have]')?.getAttribute('data-have')
  if (images == null) return
  try {
    if (images === '') localStorage.removeItem(key)
    else localStorage.setItem(key, images)
  } catch {
    // the browser stores nothing
  }
}

/** Adds the remembered images to a URL without any. */
function recall() {
  const address = new URL(window.location.href)
  if (address.searchParams.has('have') || !document.querySelector('.composer')) return
  try {
    const images = localStorage.getItem(key)?.split(' ') ?? []
    for (const image of images) address.searchParams.append('have', image)
    if (images.length > 0) void show(address, 'replace')
  } catch {
    // the browser stores nothing
  }
}

/** @param {HTMLElement} button */
async function copy(button) {
  const text = document.getElementById(button.dataset['copy'] ?? '')?.textContent?.trim() ?? ''
  const label = button.firstChild
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Without HTTPS, browsers support only the old method.
    const field = document.createElement('textarea')
    field.value = text
    document.body.append(field)
    field.select()
    document.execCommand('copy')
    field.remove()
    button.focus()
  }
  if (!label) return
  label.textContent = 'Copied'
  setTimeout(() => (label.textContent = 'Copy'), 1500)
  const status = partOf('status')
  if (status) status.textContent = 'Copied.'
}

document.addEventListener('click', (event) => {
  if (!(event.target instanceof Element)) return
  const button = event.target.closest('button.copy')
  if (button instanceof HTMLElement) return void copy(button)
  const link = event.target.closest('a[data-live]')
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  void show(link.href, 'push')
})

document.addEventListener('submit', (event) => {
  if (!(event.target instanceof HTMLFormElement) || !event.target.matches('form[data-live]')) return
  event.preventDefault()
  void show(addressOf(event.target), 'push')
})

document.addEventListener('input', (event) => {
  if (!(event.target instanceof HTMLInputElement) || event.target.name !== 'q') return
  const { form } = event.target
  clearTimeout(timer)
  if (form?.matches('form[data-live]')) timer = setTimeout(() => void show(addressOf(form), 'replace'), 150)
})

document.addEventListener('change', (event) => {
  if (!(event.target instanceof HTMLSelectElement)) return
  const { form } = event.target
  if (form?.matches('form[data-live]')) void show(addressOf(form), 'replace')
})

window.addEventListener('popstate', () => {
  const field = document.getElementById('query')
  if (field instanceof HTMLInputElement && field.name === 'q') {
    field.value = new URL(window.location.href).searchParams.get('q') ?? ''
  }
  void show(window.location.href, 'none')
})

// The page of a running build: events add log lines, and announce other changes.

/** @type {EventSource | undefined} */
let events
/** The number of lines shown. */
let lines = 0

/** Subscribes to events while the page is visible, because browsers allow few connections to each server. */
function listen() {
  const log = document.querySelector('[data-events]')
  events?.close()
  events = undefined
  if (!(log instanceof HTMLElement) || document.hidden) return
  lines ||= Number(log.dataset['lines'] ?? 0)
  const source = new EventSource(`${log.dataset['events']}?after=${lines}`)
  events = source
  source.addEventListener('lines', (event) => {
    lines = Number(event.lastEventId)
    log.append(...JSON.parse(event.data).map((/** @type {string} */ line) => `${line}\n`))
  })
  source.addEventListener('changed', () => {
    clearTimeout(timer)
    timer = setTimeout(() => void show(window.location.href, 'poll'), 300)
  })
  source.addEventListener('end', () => {
    source.close()
    log.removeAttribute('data-events')
    void show(window.location.href, 'poll')
  })
  source.addEventListener('error', () => {
    // The server has too many streams: reload the page instead.
    if (source.readyState === EventSource.CLOSED) log.setAttribute('data-poll', '')
    prepare()
  })
}

document.addEventListener('visibilitychange', () => {
  listen()
  // Hidden pages do not poll.
  const isDue = misses > 0 || document.querySelector('[data-poll]')
  misses = 0
  if (isDue) pollLater()
})
listen()
prepare()
recall()
