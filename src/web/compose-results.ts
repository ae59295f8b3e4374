import { html } from 'hono/html'
import type { PackageEntry } from '../search/entry.ts'
import type { SearchResult } from '../search/query.ts'
import { pageSize, type Composed } from './compose.ts'
import { addressOf, type Composition } from './composition.ts'
import type { Html } from './layout.ts'

/** The search results, with links that add packages to the image. */
export function resultsSection({ composition, found, hasSearch }: Composed): Html {
  if (!hasSearch)
    return html`<p class="quiet small">
      The search of this server is off. Add packages by their full names.
    </p>`
  if (!found) return examples(composition)
  if (found.state !== 'ready') return notReady(found, composition)
  if (found.results.length === 0) {
    return html`<p class="empty">Nothing found for <strong>${composition.query}</strong>.</p>`
  }
  const { offset } = composition
  return html`<ul class="results">
      ${found.results.map((entry) => result(entry, composition))}
    </ul>
    ${
      (offset > 0 || found.more) &&
      html`<nav class="pages" aria-label="Pages of results">
        ${offset > 0 && html`<a id="page-before" href="${addressOf(composition, { offset: Math.max(0, offset - pageSize) })}" data-live rel="prev">← before</a>`}
        ${found.more && html`<a id="page-next" href="${addressOf(composition, { offset: offset + pageSize })}" data-live rel="next">more →</a>`}
      </nav>`
    }`
}

const examples = (composition: Composition): Html =>
  html`<p class="quiet small">
    For example
    ${['git', 'python', 'json', 'http server'].map(
      (query, index) =>
        html`${index > 0 && ', '}<a
            id="example-${index}"
            href="${addressOf(composition, { query })}"
            data-live
            >${query}</a
          >`,
    )}.
  </p>`

const notReady = ({ state, progress }: SearchResult, composition: Composition): Html =>
  state === 'making'
    ? html`<div class="empty" data-poll>
        <p>
          The package set is being read for the first
          time${progress && `: ${progress.done} of ${progress.all} names, ${progress.packages} packages`}.
        </p>
        ${progress && html`<progress max="${progress.all}" value="${progress.done}" aria-label="Names read"></progress>`}
        <p class="small"><a id="again" href="${addressOf(composition)}" data-live>Look again</a></p>
      </div>`
    : html`<p class="empty">
        The package index could not be built. The server will try again later; images can be pulled
        nevertheless.
      </p>`

function result(entry: PackageEntry, composition: Composition): Html {
  const { name, version, description, programs, license, homepage } = entry
  const isChosen = composition.packages.some((written) => written.split('--')[0] === name)
  const packages = isChosen
    ? composition.packages.filter((written) => written.split('--')[0] !== name)
    : [...composition.packages, name]
  const last = name.split('.').at(-1)
  const others = programs.filter((program) => program !== last).slice(0, 4)
  return html`<li class="result ${isChosen && 'chosen'}">
    <div class="what">
      <p class="title"><span class="package">${name}</span> <span class="quiet small">${version}</span></p>
      ${description !== undefined && html`<p class="description">${description}</p>`}
      <p class="facts quiet small">
        ${others.length > 0 && html`<span>program${others.length > 1 && 's'} ${others.map((program, index) => html`${index > 0 && ', '}<code>${program}</code>`)}</span>`}
        ${license !== undefined && html`<span>${license}</span>`}
        ${homepage !== undefined && html`<a href="${homepage}" rel="noopener noreferrer">homepage<span class="visually-hidden"> of ${name}</span></a>`}
      </p>
    </div>
    <a
      class="button ${isChosen && 'on'}"
      id="toggle-${name}"
      href="${addressOf(composition, { packages })}"
      data-live
      aria-label="${isChosen ? 'Remove' : 'Add'} ${name}"
      >${isChosen ? 'Remove' : 'Add'}</a
    >
  </li>`
}
