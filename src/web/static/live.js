// @ts-check
// Follows the page's links and forms without leaving it: fetches the target page and replaces the contents of the
// elements with `data-part`. The server renders everything, so the page also works without this script.

/** @type {AbortController | undefined} */
let running
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer
const key = 'nixery-images'

/**
 * @param {string} name
 * @param {ParentNode} root
 */
const partOf = (name, root = document) => root.querySelector(`[data-part="${name}"]`)

/**
 * Shows the page at a URL.
 * @param {string | URL} address
 * @param {'push' | 'replace' | 'none'} history
 */
async function show(address, history) {
  running?.abort()
  const own = new AbortController()
  running = own
  document.body.setAttribute('aria-busy', 'true')
  try {
    const response = await fetch(address, { signal: own.signal, headers: { Accept: 'text/html' } })
    if (!response.ok) throw new Error(String(response.status))
    const page = new DOMParser().parseFromString(await response.text(), 'text/html')
    const focused = document.activeElement?.id
    for (const part of document.querySelectorAll('[data-part]')) {
      const next = partOf(part.getAttribute('data-part') ?? '', page)
      if (next) part.replaceChildren(...next.childNodes)
    }
    document.title = page.title
    if (history === 'push') window.history.pushState(null, '', address)
    if (history === 'replace') window.history.replaceState(null, '', address)
    if (focused && document.activeElement?.id !== focused) focusAgain(focused)
    if (history === 'push') remember()
    prepare()
  } catch {
    // Let the browser load the page, or show the error.
    if (!own.signal.aborted) window.location.assign(address)
  } finally {
    if (running === own) document.body.removeAttribute('aria-busy')
  }
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
  if (document.querySelector('[data-poll]') && !document.hidden) {
    timer = setTimeout(() => void show(window.location.href, 'none'), 2000)
  }
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
  clearTimeout(timer)
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
    timer = setTimeout(() => void show(window.location.href, 'none'), 300)
  })
  source.addEventListener('end', () => {
    source.close()
    log.removeAttribute('data-events')
    clearTimeout(timer)
    void show(window.location.href, 'none')
  })
  source.addEventListener('error', () => {
    // The server has too many streams: reload the page instead.
    if (source.readyState === EventSource.CLOSED) log.setAttribute('data-poll', '')
    prepare()
  })
}

document.addEventListener('visibilitychange', listen)
listen()
prepare()
recall()
