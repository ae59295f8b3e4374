import { html } from 'hono/html'
import type { Frame, Html } from './layout.ts'

/** The top of the start page: what this is, the parts of a name, and a search. `host` is from `registryHost`. */
export const hero = (frame: Frame, host: string): Html =>
  html`<div class="hero">
    <h1>Container images of Nix packages, built while you pull them</h1>
    <p class="lead quiet">Name the packages that you need, and pull. No Dockerfile, and nothing to push.</p>
    ${anatomy(host)} ${frame.composes && finding(frame)}
  </div>`

/** What the parts of a name mean. The commands below have the same name as text. */
const anatomy = (host: string): Html =>
  html`<div class="anatomy" aria-hidden="true">
    <span><code>${host}/</code><small>this registry</small></span>
    <span><code class="word">shell</code><small>bash and its tools</small></span>
    <span><code class="one">/git</code><small>a package</small></span>
    <span><code class="two">/htop</code><small>and another</small></span>
  </div>`

/** Without a search, the names of packages are typed. */
const finding = ({ searches }: Frame): Html =>
  html`<section class="finding">
    <form class="search" action="/compose" method="get" role="search">
      <label for="query"
        >${searches ? 'Find packages, compose an image' : 'Compose an image of packages'}</label
      >
      <div class="field">
        <input
          id="query"
          type="search"
          name="${searches ? 'q' : 'p'}"
          placeholder="${searches ? 'a name, a program, or what it does' : 'the name of a package'}"
          maxlength="200"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
        />
        <button type="submit">${searches ? 'Search' : 'Add'}</button>
      </div>
    </form>
  </section>`
