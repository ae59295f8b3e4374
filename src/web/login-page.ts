import { html } from 'hono/html'
import type { Page } from './layout.ts'

export type LoginForm = {
  readonly csrf: string
  /** The page to show after login. */
  readonly back: string
  /** OpenID providers. */
  readonly providers: readonly string[]
  readonly problem: string | undefined
}

export const loginPage = ({ csrf, back, providers, problem }: LoginForm): Page => ({
  title: 'Log in · Nixery',
  hasForm: true,
  body: html`<main class="card login">
    <h1>Log in</h1>
    ${problem !== undefined && html`<p role="alert" class="failed">${problem}</p>`}
    ${
      providers.length > 0 &&
      html`<ul class="plain">
        ${providers.map(
          (name) =>
            html`<li>
              <a
                class="button"
                href="/login?provider=${encodeURIComponent(name)}&amp;back=${encodeURIComponent(back)}"
                >Log in with ${name}</a
              >
            </li>`,
        )}
      </ul>`
    }
    <form method="post" action="/login">
      <input type="hidden" name="csrf" value="${csrf}" />
      <input type="hidden" name="back" value="${back}" />
      <p>
        <label
          >User name<br /><input
            type="text"
            name="name"
            autocomplete="username"
            autocapitalize="none"
            spellcheck="false"
        /></label>
      </p>
      <p>
        <label
          >Password or API key<br /><input
            name="password"
            type="password"
            autocomplete="current-password"
            required
        /></label>
      </p>
      <p class="quiet small">With an API key, the name does not matter.</p>
      <p><button class="main">Log in</button></p>
    </form>
  </main>`,
})

export const logoutPage = (csrf: string): Page => ({
  title: 'Log out · Nixery',
  hasForm: true,
  body: html`<main class="card login">
    <h1>Log out</h1>
    <form method="post" action="/logout">
      <input type="hidden" name="csrf" value="${csrf}" />
      <p><button class="main">Log out</button></p>
    </form>
  </main>`,
})
