import { html } from 'hono/html'
import type { ShownKey } from '../../credentials/new-key.ts'
import type { Overview } from '../../fleet/overview.ts'
import type { Quota, QuotaUse } from '../../quotas/quota.ts'
import { bytesText, counted } from '../../text/amounts.ts'
import type { Preview } from '../../upkeep/preview.ts'
import { type Frame, type Html, type Page } from '../layout.ts'
import { ago, imageText, timeText } from '../times.ts'
import { fleetPart } from './fleet.ts'
import { keysPart, type KeyForms } from './keys.ts'
import { partOf, tableOf, type Cell, type Read } from './parts.ts'
import type { CleanupSettings, QuotaOf, Storage } from './source.ts'

/** The contents of the page. */
export type Administration = {
  readonly storage: Read<Storage>
  readonly cleanup: CleanupSettings
  readonly preview: Preview
  readonly quotas: { readonly rules: readonly QuotaOf[]; readonly uses: Read<readonly QuotaUse[]> }
  readonly keys: Read<readonly ShownKey[]>
  readonly forms: KeyForms
  /** Undefined if processes share no database. */
  readonly fleet: Read<Overview> | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

// The maximum number of clients whose quota usage is shown.
const mostUses = 100

/** The admin page, at `/admin`. */
export const adminPage = (frame: Frame, shown: Administration): Page => ({
  title: 'Administration · Nixery',
  refresh: shown.preview.running && !shown.forms.isAnswer,
  hasForm: true,
  scripts: shown.preview.running && !shown.forms.isAnswer ? [frame.assets.script] : [],
  wide: true,
  place: 'admin',
  body: html`<main class="admin">
    <h1>Administration</h1>
    ${keysPart(shown.keys, shown.forms)} ${partOf('Storage', shown.storage, storageText)}
    <section>
      <h2>What cleaning up would remove</h2>
      <div data-part="look">${previewText(shown)}</div>
    </section>
    ${quotasPart(shown)} ${shown.fleet && fleetPart(shown.fleet)}
  </main>`,
})

const storageText = ({ backend, catalog, disks }: Storage): Html =>
  html`<dl>
      <dt>blobs</dt>
      <dd>${backend}</dd>
      <dt>catalog</dt>
      <dd>${catalog.kind}, ${bytesText(catalog.bytes)}</dd>
    </dl>
    ${
      disks.length > 0 &&
      tableOf(
        ['disk of', 'free', 'size', 'used'],
        disks.map(({ place, free, size }) => [place, bytesText(free), bytesText(size), usedText(free, size)]),
      )
    }`

/** A bar, and the share in figures. */
function usedText(free: number, size: number): Html {
  const percent = size === 0 ? 0 : Math.round((1 - free / size) * 100)
  return html`<meter min="0" max="100" high="90" value="${percent}" aria-hidden="true"></meter> ${percent} %`
}

function previewText({ preview: { running, last, failure }, cleanup, now }: Administration): Html {
  return html`<p>${settingsText(cleanup)}</p>
    ${running && html`<p role="status" class="running" data-poll>Looking at the store and the catalog …</p>`}
    ${failure !== undefined && html`<p class="problem">Looking failed: ${failure}. The log has the reason.</p>`}
    ${last && resultText(last, now)}`
}

function settingsText({ keepDays, sizeLimit, interval }: CleanupSettings): string {
  const hours = Math.round(interval / 360) / 10
  if (keepDays === undefined && sizeLimit === undefined) {
    return 'By itself, the server removes no image: neither NIXERY_KEEP nor NIXERY_STORE_LIMIT is set.'
  }
  const what = [
    ...(keepDays === undefined ? [] : [`images that were not pulled for ${counted(keepDays, 'day')}`]),
    ...(sizeLimit === undefined
      ? []
      : [`the least recently pulled images above ${bytesText(sizeLimit)} in total`]),
  ]
  return `The server removes ${what.join(', and ')}, every ${hours === 1 ? 'hour' : `${hours} hours`}.`
}

function resultText({ collected, at }: NonNullable<Preview['last']>, now: number): Html {
  const { blobs, blobsKept, imagesKept, imagesRemoved: images } = collected
  const all = { count: blobs.count + blobsKept.count, size: blobs.size + blobsKept.size }
  return html`<dl>
      <dt>in the store</dt>
      <dd>
        ${bytesText(all.size)} in ${counted(all.count, 'blob')}, ${counted(images + imagesKept, 'image')}
      </dd>
      <dt>would be removed</dt>
      <dd>
        ${bytesText(blobs.size)} in ${counted(blobs.count, 'blob')}, ${counted(images, 'image')}
        <span class="quiet small">as of ${ago(at, now)}</span>
      </dd>
    </dl>
    ${
      collected.images.length > 0 &&
      tableOf(
        ['image', 'last used', 'size'],
        collected.images.map(({ names, lastUsed, size }) => [
          names.length === 0
            ? 'never pulled by name'
            : html`${names.slice(0, 5).map(
                ({ repository, tag, architecture }) =>
                  html`<span class="image">${imageText(`${repository}:${tag}`)}</span>
                    <span class="quiet small">${architecture}</span> `,
              )}`,
          timeText(lastUsed * 1000),
          bytesText(size),
        ]),
      )
    }
    ${images > collected.images.length && html`<p class="quiet small">The first ${collected.images.length} of ${images}.</p>`}`
}

const quotasPart = ({ quotas: { rules, uses } }: Administration): Html =>
  html`${partOf('Quotas', { value: rules }, () =>
    rules.length === 0
      ? html`<p class="quiet">Nobody is limited.</p>`
      : tableOf(
          ['for', 'builds an hour', 'builds at once', 'bytes a day', 'requests a second'],
          rules.map(({ who, quota }) => [who, ...limitsOf(quota)]),
        ),
  )}
  ${rules.length > 0 && usesPart(uses)}`

const limitsOf = ({ builds, buildsAtOnce, bytes, requests }: Quota): Cell[] => [
  builds ?? '–',
  buildsAtOnce ?? '–',
  bytes === undefined ? '–' : bytesText(bytes),
  requests ?? '–',
]

function usesPart(read: Read<readonly QuotaUse[]>): Html {
  const share = ({ quota, builds, bytes, buildsAtOnce }: QuotaUse): number =>
    Math.max(
      builds / (quota.builds ?? Infinity),
      bytes / (quota.bytes ?? Infinity),
      buildsAtOnce / (quota.buildsAtOnce ?? Infinity),
    )
  const of = (used: string | number, limit: string | number | undefined) =>
    limit === undefined ? '–' : `${used} of ${limit}`
  return partOf('Use of quotas', read, (uses) =>
    uses.length === 0
      ? html`<p class="quiet">Nobody has used any so far.</p>`
      : html`${tableOf(
          ['client', 'builds of this hour', 'builds at work', 'bytes of this day'],
          uses
            .toSorted((a, b) => share(b) - share(a))
            .slice(0, mostUses)
            .map((use) => [
              use.shown,
              of(use.builds, use.quota.builds),
              of(use.buildsAtOnce, use.quota.buildsAtOnce),
              of(
                bytesText(use.bytes),
                use.quota.bytes === undefined ? undefined : bytesText(use.quota.bytes),
              ),
            ]),
        )}
        ${uses.length > mostUses && html`<p class="quiet small">The ${mostUses} who have used most, of ${uses.length}.</p>`}`,
  )
}
