import { html } from 'hono/html'
import { bytesText, counted } from '../text/amounts.ts'
import type { BuildRecord } from './history.ts'
import { refreshSeconds, type Frame, type Html, type Page } from './layout.ts'
import { durationText, imageText, timeText } from './times.ts'

/**
 * The page of one build, at `/builds/<id>`. It reloads while the build runs.
 * @param options.showNames whether it shows the name and the packages of the image
 */
export const buildPage = (frame: Frame, build: BuildRecord, { showNames }: { showNames: boolean }): Page => ({
  title: `${showNames ? build.image : 'Build'} · Nixery`,
  refresh: build.state === 'running',
  scripts: build.state === 'running' ? [frame.assets.script] : [],
  body: html`<main>
    ${showNames ? html`<h1 class="image">${imageText(build.image)}</h1>` : html`<h1>Build of an image</h1>`}
    <div data-part="summary">${summary(build, showNames)}</div>
    ${log(build)}
  </main>`,
})

/** Everything except the log, to which lines are appended. */
const summary = (build: BuildRecord, showNames: boolean): Html =>
  html`<p role="status">
      <span class="state ${build.state}">${build.state}</span>
      <span class="quiet">
        ${build.state === 'running' ? 'for' : 'after'} ${durationText(build.ms)}, started
        <time datetime="${new Date(build.startedAt).toISOString()}">${timeText(build.startedAt)}</time>, for
        ${counted(build.pulls, 'pull')}${build.platform !== undefined && ` · ${build.platform}`}
      </span>
    </p>
    ${
      build.state === 'running' &&
      html`<noscript><p class="quiet small">This page reloads every ${refreshSeconds} seconds.</p></noscript>`
    }
    ${
      showNames &&
      build.state === 'finished' &&
      html`<p><a href="/images/${build.image.split(':')[0]}">The image</a></p>`
    }
    ${failureSection(build)}
    <section>
      <h2>Steps</h2>
      <ol class="steps">
        ${steps(build, showNames).map(stepItem)}
      </ol>
    </section>
    ${warningsSection(build)} ${layers(build)}`

const failureSection = ({ failure }: BuildRecord): Html | false =>
  failure !== undefined &&
  html`<section>
    <h2>Error</h2>
    <pre class="message">${failure.message}</pre>
    ${failure.hint !== undefined && html`<p>${failure.hint}</p>`}
    ${failure.code !== undefined && html`<p class="quiet small"><code>${failure.code}</code></p>`}
  </section>`

type Step = {
  readonly name: string
  readonly detail?: string | Html | undefined
  readonly ms?: number | undefined
}
type StepState = 'finished' | 'running' | 'failed' | 'waiting' | 'skipped'

/** The steps of a build, in order, with their states. */
function steps(
  {
    resolved,
    realised,
    downloaded,
    arrived,
    planned,
    layers: packed,
    digest,
    state,
    ms: total,
    lines,
  }: BuildRecord,
  showNames: boolean,
) {
  const isRunning = state === 'running'
  const packages = showNames
    ? resolved?.packages.join(', ')
    : resolved && counted(resolved.packages.length, 'package')
  const last = lines.at(-1)
  const now = last === undefined ? undefined : html`<code>${last.slice(0, 200)}</code>`
  const all: Step[] = [
    { name: 'Look up packages', detail: packages, ms: resolved?.ms },
    {
      name: realised?.origin === 'caches' ? 'Find in binary caches' : 'Build or fetch with Nix',
      detail: realised ? realisedText(realised, downloaded) : resolved && isRunning ? now : undefined,
      ms: realised?.ms,
    },
    {
      name: 'Pack layers',
      detail:
        planned &&
        html`${layersText(planned, packed)}${isRunning && arrived !== undefined && showNames && html`<br />downloaded <code>${arrived}</code>`}`,
    },
    { name: 'Publish the image', detail: digest && html`<code>${digest}</code>` },
  ]
  const at = digest !== undefined ? all.length : planned || realised ? 2 : resolved ? 1 : 0
  return all.map((step, index): Step & { state: StepState } => {
    if (index > at) return { ...step, state: 'waiting' }
    if (index === at) {
      const before = all.slice(0, at).reduce((sum, { ms = 0 }) => sum + ms, 0)
      return { ...step, state, ...(state === 'running' && { ms: Math.max(0, total - before) }) }
    }
    // A step is skipped if its result was cached.
    return { ...step, state: step.detail === undefined ? 'skipped' : 'finished' }
  })
}

function realisedText(
  { paths, narBytes }: { paths: number; narBytes: number },
  downloaded: number | undefined,
) {
  const size = `${counted(paths, 'store path')}, ${bytesText(narBytes)}`
  return downloaded === undefined ? size : `${size}; ${bytesText(downloaded)} downloaded`
}

function layersText(
  { layers: all, known }: { layers: number; known: number },
  packed: BuildRecord['layers'],
) {
  const bytes = packed.reduce((sum, { size }) => sum + size, 0)
  const fresh = packed.length === 0 ? 'none' : `${packed.length} (${bytesText(bytes)})`
  return `${counted(all, 'layer')}, ${known} of them reused; packed ${fresh}`
}

const marks: Readonly<Record<StepState, string>> = {
  finished: '✓',
  running: '…',
  failed: '✗',
  waiting: '·',
  skipped: '–',
}

const stepItem = ({ name, detail, ms, state }: Step & { state: StepState }): Html =>
  html`<li>
    <span class="${state}" role="img" aria-label="${state}">${marks[state]}</span>
    <span class="${state !== 'finished' && state}">${name}</span>
    <span class="fixed quiet"
      >${ms === undefined ? state === 'skipped' && 'not needed' : durationText(ms)}</span
    >
    ${detail !== undefined && html`<span class="detail">${detail}</span>`}
  </li>`

const warningsSection = ({ warnings }: BuildRecord): Html | false =>
  warnings.length > 0 &&
  html`<section>
    <h2>Warnings</h2>
    <ul class="warnings">
      ${warnings.map((warning) => html`<li>${warning}</li>`)}
    </ul>
  </section>`

const layers = ({ layers: packed }: BuildRecord): Html | false =>
  packed.length > 0 &&
  html`<section>
    <h2>Layers</h2>
    <details>
      <summary>${counted(packed.length, 'layer')} packed by this build</summary>
      <table>
        <thead>
          <tr>
            <th>digest</th>
            <th>size</th>
            <th>store paths</th>
            <th>took</th>
          </tr>
        </thead>
        <tbody>
          ${packed.map(
            ({ digest, size, paths, ms }) =>
              html`<tr>
                <td>
                  <code title="${digest}">${digest.slice('sha256:'.length, 'sha256:'.length + 12)}</code>
                </td>
                <td class="fixed">${bytesText(size)}</td>
                <td class="fixed">${paths}</td>
                <td class="fixed">${durationText(ms)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </details>
  </section>`

const log = ({ id, lines, forgottenLines, state }: BuildRecord): Html =>
  html`<section>
    <h2 id="log">Log</h2>
    ${forgottenLines > 0 && html`<p class="quiet small">The first ${counted(forgottenLines, 'line')} are not kept.</p>`}
    ${
      lines.length === 0 && state !== 'running'
        ? html`<p class="quiet">Nix has printed nothing.</p>`
        : html`<div class="log" tabindex="0" role="region" aria-labelledby="log">
            <pre
              ${state === 'running' && html`data-events="/builds/${id}/events" data-lines="${forgottenLines + lines.length}"`}
            >
${lines.map((line) => `${line}\n`)}</pre>
          </div>`
    }
  </section>`
