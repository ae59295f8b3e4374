import { html } from 'hono/html'
import { recipes } from '../image/recipes.ts'
import { counted } from '../text/amounts.ts'
import { listed } from '../text/words.ts'
import type { Composed } from './compose.ts'
import { addressOf, fieldsOf, type Composition } from './composition.ts'
import { imageSection } from './compose-image.ts'
import { resultsSection } from './compose-results.ts'
import { type Frame, type Html, type Page } from './layout.ts'

/**
 * The page at `/compose`. All of its state is in its address, and everything changes by links and a form. The script
 * follows the same links, and replaces what is in the elements with `data-part`.
 */
export const composePage = (frame: Frame, composed: Composed, host: string): Page => ({
  title: composed.name === undefined ? 'Compose an image · Nixery' : `${composed.name} · Nixery`,
  scripts: [frame.assets.script],
  wide: true,
  place: 'compose',
  hasForm: true,
  body: html`<main class="composer">
    <h1>Compose an image</h1>
    <p class="lead quiet">Choose packages. The image is their names, and is built when you pull it.</p>
    <p class="visually-hidden" role="status" data-part="status">${statusText(composed)}</p>
    <div class="columns">
      <div class="choose">
        ${searchForm(composed)}
        <div data-part="results">${resultsSection(composed)}</div>
        <div data-part="options">${options(composed)}</div>
      </div>
      <div class="image-card" data-part="image">${imageSection(composed, host)}</div>
    </div>
  </main>`,
})

function statusText({ composition, found, name }: Composed): string {
  const { packages, query } = composition
  const results =
    found?.state === 'ready' && query !== ''
      ? `${counted(found.results.length, 'result')} for ${query}. `
      : ''
  return `${results}${name === undefined ? 'Nothing is chosen.' : `The image has ${packages.length === 0 ? 'no packages of its own' : listed(packages)}.`}`
}

const searchForm = ({ composition, sets, hasSearch }: Composed): Html =>
  html`<form class="search" action="/compose" method="get" role="search" data-live>
    <div data-part="fields" hidden>
      ${fieldsOf(composition, ['q', 'o', ...(sets.length > 1 ? ['s'] : [])]).map(
        ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
      )}
    </div>
    <label for="query">${hasSearch ? 'Search packages' : 'Name of a package'}</label>
    <div class="field">
      <input
        id="query"
        type="search"
        name="${hasSearch ? 'q' : 'p'}"
        value="${composition.query}"
        placeholder="${hasSearch ? 'a name, a program, or what it does' : 'the name of a package'}"
        maxlength="200"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
      />
      ${
        sets.length > 1 &&
        html`<select name="s" aria-label="Package set">
          ${sets.map(
            (name, index) =>
              html`<option
                value="${index === 0 ? '' : name}"
                ${(index === 0 ? undefined : name) === composition.set && 'selected'}
              >
                ${name}
              </option>`,
          )}
        </select>`
      }
      <button type="submit">${hasSearch ? 'Search' : 'Add'}</button>
    </div>
  </form>`

/** A list of options as links, which mark the selected ones. */
const toggle = (id: string, label: string, isOn: boolean, address: string, title = ''): Html =>
  html`<li>
    <a
      class="chip ${isOn && 'on'}"
      id="${id}"
      href="${address}"
      data-live
      title="${title}"
      ${isOn && html`aria-current="true"`}
      >${isOn && html`<span aria-hidden="true">✓ </span>`}${label}</a
    >
  </li>`

function options({ composition, platforms }: Composed): Html {
  const plain = platforms.map(({ architecture }) => architecture).join(' and ')
  return html`<section class="options">
    <h2>Meta-packages</h2>
    <ul class="chips">
      ${Object.keys(recipes).map((name) =>
        toggle(
          `recipe-${name}`,
          name,
          composition.recipes.includes(name),
          withRecipe(composition, name),
          recipeTitles[name],
        ),
      )}
    </ul>
    <h2>Platform</h2>
    <ul class="chips">
      ${toggle('platform-any', `default (${plain})`, composition.platform === undefined, addressOf(composition, { platform: undefined }))}
      ${['amd64', 'arm64'].map((name) =>
        toggle(
          `platform-${name}`,
          name,
          composition.platform === name,
          addressOf(composition, { platform: name }),
        ),
      )}
    </ul>
  </section>`
}

const recipeTitles: Readonly<Record<string, string>> = {
  shell: 'bash and coreutils',
  ci: 'what jobs of CI systems expect',
  compat: 'for programs built elsewhere',
  devcontainer: 'for editors and dev containers',
}

const withRecipe = (composition: Composition, name: string): string =>
  addressOf(composition, {
    recipes: composition.recipes.includes(name)
      ? composition.recipes.filter((other) => other !== name)
      : [...composition.recipes, name],
  })
