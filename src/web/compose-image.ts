import { html } from 'hono/html'
import { builtIn } from '../image/recipes.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { listed } from '../text/words.ts'
import type { Choice, Composed } from './compose.ts'
import { addressOf, type Composition } from './composition.ts'
import { unknownHost } from './host.ts'
import type { Html } from './layout.ts'
import { layersView } from './layers-view.ts'
import { plainProgram, snippets } from './snippets.ts'
import { imageText } from './times.ts'

/** The composed image: its name, packages and size, and how to use it. */
export function imageSection(composed: Composed, host: string): Html {
  const { composition, name, problem, choices } = composed
  if (name === undefined) {
    return html`<h2>Your image</h2>
      ${
        problem === undefined
          ? html`<p class="empty">
              No packages yet. Add one, or start with
              <a id="begin" href="${addressOf(composition, { recipes: ['shell'] })}" data-live>a shell</a>.
            </p>`
          : html`<p class="problem">${problem}</p>`
      }
      ${chosen(choices, composition)}`
  }
  return html`<h2>Your image</h2>
    <div class="name">
      <code id="name"><span class="quiet">${host}/</span><wbr />${imageText(name)}</code>
      ${copyButton('name', 'the name')}
    </div>
    ${chosen(choices, composition)} ${problem !== undefined && html`<p class="problem">${problem}</p>`}
    ${size(composed)} ${usage(composed, name, host)}`
}

/** Hidden until the script shows it. */
const copyButton = (target: string, what: string): Html =>
  html`<button class="copy" type="button" data-copy="${target}" hidden>
    Copy<span class="visually-hidden"> ${what}</span>
  </button>`

const chosen = (choices: readonly Choice[], composition: Composition): Html | false =>
  choices.length > 0 &&
  html`<ul class="chosen-packages">
    ${choices.map((choice) => chosenPackage(choice, composition))}
  </ul>`

function chosenPackage({ written, name, version, entry, versions }: Choice, composition: Composition): Html {
  const replacedBy = (other: string | undefined) =>
    addressOf(composition, {
      packages: composition.packages.flatMap((each) => (each === written ? (other ?? []) : each)),
    })
  const current = entry?.version
  return html`<li>
    <span class="package">${name}</span>
    <span class="quiet small">${version ?? current ?? ''}</span>
    ${
      versions.length > 0 &&
      html`<details>
        <summary>versions<span class="visually-hidden"> of ${name}</span></summary>
        <ul class="chips">
          <li>
            <a
              class="chip ${version === undefined && 'on'}"
              id="version-${name}"
              href="${replacedBy(name)}"
              data-live
              >current</a
            >
          </li>
          ${versions.map(
            (one) =>
              html`<li>
                <a
                  class="chip ${one === version && 'on'}"
                  id="version-${name}-${one}"
                  href="${replacedBy(`${name}--${one}`)}"
                  data-live
                  >${one}</a
                >
              </li>`,
          )}
        </ul>
      </details>`
    }
    <a
      class="remove"
      id="remove-${name}"
      href="${replacedBy(undefined)}"
      data-live
      aria-label="Remove ${name}"
      >×</a
    >
  </li>`
}

function size({ estimate, layers, composition, name }: Composed): Html | false {
  if (!estimate || estimate.failure) return false
  const { unknown, narSize, paths } = estimate
  if (!layers) {
    return html`<section class="size" data-poll="less">
      <h3>Size</h3>
      <p>
        ${
          paths === 0
            ? html`Not known yet.`
            : html`At least <strong>${bytesText(narSize)}</strong> unpacked, in
                ${counted(paths, 'store path')}.`
        }
        ${
          unknown.length > 0
            ? html`Nobody has pulled ${listed(unknown)} from this revision, as far as the catalog knows. The
              size is known after the first pull, which takes longer.`
            : html`Nobody has pulled this image, as far as the catalog knows. The first pull packs it.`
        }
      </p>
      <p class="small"><a id="size-again" href="${addressOf(composition)}" data-live>Look again</a></p>
    </section>`
  }
  const bytes = (some: typeof layers) => some.reduce((sum, { packed = 0 }) => sum + packed, 0)
  const unpacked = layers.filter(({ packed }) => packed === undefined)
  const had = layers.filter(({ kind }) => kind === 'had')
  const whole = bytes(layers)
  return html`<section class="size">
    <h3>Size and layers</h3>
    <dl class="numbers">
      <div>
        <dt>to download</dt>
        <dd>${unpacked.length > 0 && 'at least '}${bytesText(whole - bytes(had))}</dd>
      </div>
      ${
        paths > 0 &&
        html`<div>
          <dt>unpacked</dt>
          <dd>${bytesText(narSize)}</dd>
        </div>`
      }
      <div>
        <dt>layers</dt>
        <dd>${layers.length}</dd>
      </div>
      ${
        paths > 0 &&
        html`<div>
          <dt>store paths</dt>
          <dd>${paths}</dd>
        </div>`
      }
    </dl>
    ${layersView(layers)} ${having(composition, name)}
    ${unpacked.length === 0 && html`<p class="small"><a href="/images/${name}">Tags, configuration and history of this image</a></p>`}
  </section>`
}

/** The images that the reader has, whose layers need no download. */
function having(composition: Composition, name: string | undefined): Html | false {
  if (name === undefined) return false
  const { have } = composition
  const isHad = have.includes(name)
  return html`<p class="small having" data-have="${have.join(' ')}">
    ${have.length > 0 && html`Layers of ${listed(have)} count as downloaded.`}
    ${
      isHad
        ? html`<a
            id="have"
            href="${addressOf(composition, { have: have.filter((other) => other !== name) })}"
            data-live
            >I do not have this image</a
          >`
        : html`<a id="have" href="${addressOf(composition, { have: [...have, name].slice(-10) })}" data-live
            >I have this image</a
          >`
    }
    ${have.length > 0 && !isHad && html`· <a id="have-none" href="${addressOf(composition, { have: [] })}" data-live>I have none of them</a>`}
  </p>`
}

function usage({ composition, choices }: Composed, name: string, host: string): Html {
  const used = snippets.find(({ id }) => id === composition.use) ?? snippets[0]
  const hasShell = composition.recipes.some((recipe) => builtIn(recipe)?.cmd?.[0] === 'bash')
  const program = plainProgram(choices.flatMap(({ entry }) => entry?.programs.slice(0, 1) ?? []))
  const text = used?.text({ host, name, hasShell, program }) ?? ''
  return html`<section class="usage">
    <h3>Use it</h3>
    <nav aria-label="Clients">
      <ul class="tabs">
        ${snippets.map(
          ({ id, label }) =>
            html`<li>
              <a
                id="use-${id}"
                href="${addressOf(composition, { use: id })}"
                data-live
                ${id === used?.id && html`aria-current="true"`}
                >${label}</a
              >
            </li>`,
        )}
      </ul>
    </nav>
    <div class="snippet">
      <p class="quiet small">${used?.place}</p>
      ${copyButton('snippet', 'this text')}
      <pre tabindex="0" role="region" aria-label="${used?.label}"><code id="snippet">${text}</code></pre>
    </div>
    ${host === unknownHost && html`<p class="small">Replace <code>${host}</code> with this registry’s address.</p>`}
  </section>`
}
