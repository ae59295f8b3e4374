import { html } from 'hono/html'
import { byText } from '../image/store-path.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { isLoopback } from './host.ts'
import type { ConfigFacts, ImageFacts } from './image.ts'
import { type Frame, type Html, type Page } from './layout.ts'
import { layersView, type ShownLayer } from './layers-view.ts'
import { ago, imageText } from './times.ts'

export type ImagePageOptions = {
  /** From `registryHost`. */
  readonly host: string
  readonly now: number
  /** Whether it shows when and how often others have pulled the image. */
  readonly showPulls: boolean
  /** Whether it links to the build, whose page shows its log to anyone with the link. */
  readonly showBuild: boolean
  /** The URL of the composer for this image; undefined if there is no composer. */
  readonly composer: string | undefined
}

/** The page of an image, at `/images/<name>`. */
export function imagePage(frame: Frame, facts: ImageFacts, options: ImagePageOptions): Page {
  const { name, shown, config, packages, build } = facts
  const { host, now, composer, showBuild } = options
  const { image } = shown
  const size = image.layers.reduce((sum, layer) => sum + layer.size, image.config.size)
  return {
    title: `${name} · Nixery`,
    scripts: [frame.assets.script],
    wide: true,
    body: html`<main class="image-page">
      <h1 class="image">${imageText(name)}</h1>
      <p class="lead quiet">
        ${bytesText(size)} to download in ${counted(image.layers.length, 'layer')}, for
        ${shown.architecture}${
          showBuild &&
          build &&
          html`; <a href="/builds/${build.id}">the build</a> finished ${ago(build.startedAt + build.ms, now)}`
        }.
        ${composer !== undefined && html`<a href="${composer}">Compose another image from this one</a>`}
      </p>
      <p class="visually-hidden" role="status" data-part="status"></p>
      <div class="columns">
        <div>
          ${pulling(facts, host)} ${tagsSection(facts, options)} ${packagesSection(packages)}
          ${historySection(facts, options)}
        </div>
        <div class="image-card still">
          <section>
            <h2>Layers</h2>
            ${layersView(layersOf(facts))}
          </section>
          ${config && configSection(config)}
        </div>
      </div>
    </main>`,
  }
}

function pulling({ name, shown }: ImageFacts, host: string): Html {
  const tag = shown.tag === 'latest' ? '' : `:${shown.tag}`
  const command = `podman pull${isLoopback(host) ? ' --tls-verify=false' : ''} ${host}/${name}${tag}`
  const pinned = `${host}/${name}@${shown.image.manifests.oci.digest}`
  return html`<section>
    <h2>Pull</h2>
    ${copied('pull', command, 'The command')} ${copied('pinned', pinned, 'Name with digest')}
  </section>`
}

const copied = (id: string, text: string, label: string): Html =>
  html`<div class="snippet">
    <p class="quiet small">${label}</p>
    <button class="copy" type="button" data-copy="${id}" hidden>
      Copy<span class="visually-hidden"> ${label.toLowerCase()}</span>
    </button>
    <pre tabindex="0" role="region" aria-label="${label}"><code id="${id}">${text}</code></pre>
  </div>`

const layersOf = ({ shown, config }: ImageFacts): ShownLayer[] =>
  shown.image.layers.map(({ digest, size }, index) => ({
    title: config?.history[index]?.comment ?? `layer ${index + 1}`,
    size,
    packed: size,
    digest,
    kind: 'part',
    sharedWith: [],
  }))

const tagsSection = ({ name, tags, shown }: ImageFacts, { now, showPulls }: ImagePageOptions): Html =>
  html`<section>
    <h2>Tags and platforms</h2>
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">tag</th>
          <th scope="col">platform</th>
          <th scope="col">digest</th>
          ${showPulls && html`<th scope="col">pulls</th>`}
        </tr>
      </thead>
      <tbody>
        ${tags.map((one) => {
          const address = `/images/${name}?${new URLSearchParams({ tag: one.tag, a: one.architecture }).toString()}`
          return html`<tr>
            <td><a href="${address}" ${one === shown && html`aria-current="true"`}>${one.tag}</a></td>
            <td class="fixed">${one.architecture}</td>
            <td>${digestText(one.image.manifests.oci.digest)}</td>
            ${showPulls && html`<td class="fixed quiet">${one.pulls}, ${ago(one.pulledAt * 1000, now)}</td>`}
          </tr>`
        })}
      </tbody>
    </table>
  </section>`

const digestText = (digest: string): Html =>
  html`<code title="${digest}">${digest.slice(0, 'sha256:'.length + 12)}…</code>`

const packagesSection = (packages: ImageFacts['packages']): Html =>
  html`<section>
    <h2>Packages</h2>
    ${
      packages === undefined
        ? html`<p class="quiet small">
            They are not known here: the package set has changed since this image was built, or this server
            has none.
          </p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th scope="col">package</th>
                <th scope="col">version</th>
                <th scope="col">licence</th>
              </tr>
            </thead>
            <tbody>
              ${packages
                .toSorted((a, b) => byText(a.attribute, b.attribute))
                .map(
                  ({ attribute, version, output, license, implied }) =>
                    html`<tr>
                      <td>
                        <span class="package">${attribute}</span>
                        ${output !== 'out' && html`<span class="quiet small">${output}</span>`}
                        ${implied && html`<span class="quiet small">in every image</span>`}
                      </td>
                      <td>${version}</td>
                      <td class="quiet">${license ?? 'not stated'}</td>
                    </tr>`,
                )}
            </tbody>
          </table>`
    }
  </section>`

const historySection = ({ given }: ImageFacts, { now, showPulls }: ImagePageOptions): Html | false =>
  given.length > 1 &&
  html`<section>
    <h2>History</h2>
    <p class="quiet small">All known images with this name, newest first.</p>
    <ol class="history">
      ${given.map(
        ({ image, madeAt }) =>
          html`<li>
            ${digestText(image.manifests.oci.digest)}
            <span class="quiet small"
              >${counted(image.layers.length, 'layer')}${showPulls && html`, made ${ago(madeAt * 1000, now)}`}</span
            >
          </li>`,
      )}
    </ol>
  </section>`

function configSection({ config }: ConfigFacts): Html {
  const rows: [label: string, values: readonly string[]][] = [
    ['entry point', config.Entrypoint ?? []],
    ['command', config.Cmd ?? []],
    ['user', [config.User ?? ''].filter(Boolean)],
    ['folder', [config.WorkingDir ?? ''].filter(Boolean)],
    ['ports', Object.keys(config.ExposedPorts ?? {})],
    ['volumes', Object.keys(config.Volumes ?? {})],
    ['stop signal', [config.StopSignal ?? ''].filter(Boolean)],
    ['environment', config.Env ?? []],
    ['labels', Object.entries(config.Labels ?? {}).map(([key, value]) => `${key}=${value}`)],
  ]
  return html`<section>
    <h2>Configuration</h2>
    <dl class="config">
      ${rows
        .filter(([, values]) => values.length > 0)
        .map(
          ([label, values]) =>
            html`<dt>${label}</dt>
              <dd>${values.map((value) => html`<code>${value}</code> `)}</dd>`,
        )}
    </dl>
  </section>`
}
