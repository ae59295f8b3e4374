import { html } from 'hono/html'
import { bytesText, counted } from '../text/amounts.ts'
import type { Html } from './layout.ts'
import { treemap } from './treemap.ts'

/** A layer in the treemap. */
export type ShownLayer = {
  /** A description of its contents. */
  readonly title: string
  /** The size in bytes, which determines the area. */
  readonly size: number
  /** The size of the download in bytes; undefined if it is not packed yet. */
  readonly packed: number | undefined
  readonly digest: string | undefined
  readonly kind: LayerKind
  /** Names of popular images that share the layer. */
  readonly sharedWith: readonly string[]
}

export type LayerKind = 'had' | 'shared' | 'own' | 'new' | 'part'

/** Descriptions of the kinds, in the order of the legend. */
const kinds: Readonly<Record<LayerKind, string>> = {
  had: 'in an image that you have',
  shared: 'shared with popular images',
  own: 'only in this image, as far as is known',
  new: 'not packed yet',
  part: 'of this image',
}

const [width, height] = [720, 300]

/** A treemap of the layers, a legend of its colours and patterns, and the same data as a table. */
export function layersView(layers: readonly ShownLayer[]): Html {
  const present = (Object.keys(kinds) as LayerKind[]).filter((kind) =>
    layers.some((layer) => layer.kind === kind),
  )
  return html`<figure class="layers">
    ${drawing(layers)}
    <figcaption>
      <ul class="legend">
        ${present.map((kind) => {
          const some = layers.filter((layer) => layer.kind === kind)
          return html`<li>
            <svg class="key" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
              <rect class="tile ${kind}" width="16" height="16" rx="3" />
            </svg>
            ${counted(some.length, 'layer')} ${kinds[kind]}
          </li>`
        })}
      </ul>
    </figcaption>
    <details>
      <summary>Layers as a table</summary>
      ${table(layers)}
    </details>
  </figure>`
}

function drawing(layers: readonly ShownLayer[]): Html {
  const tiles = treemap(layers, ({ size }) => size, { x: 0, y: 0, width, height })
  return html`<svg
    class="treemap"
    viewBox="0 0 ${width} ${height}"
    role="img"
    aria-label="Layers of the image by size; the table below has the same in text"
  >
    <defs>
      <pattern id="hatched" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect class="hatch-ground" width="7" height="7" />
        <rect class="hatch" width="2" height="7" />
      </pattern>
      <pattern id="dotted" width="8" height="8" patternUnits="userSpaceOnUse">
        <rect class="dot-ground" width="8" height="8" />
        <circle class="dot" cx="4" cy="4" r="1.3" />
      </pattern>
    </defs>
    ${tiles.map(({ item, x, y, ...tile }, place) => {
      const [w, h] = [Math.max(0, tile.width - 3), Math.max(0, tile.height - 3)]
      const label = labelFor(item.title, w, h, 8)
      const labelOfPhones = h > 90 ? labelFor(item.title, w, h, 18) : undefined
      return html`<g>
        <title>${item.title} – ${sizeText(item)}, ${kinds[item.kind]}</title>
        <rect
          class="tile ${item.kind}"
          x="${fixed(x + 1.5)}"
          y="${fixed(y + 1.5)}"
          width="${fixed(w)}"
          height="${fixed(h)}"
          rx="4"
          fill-opacity="${item.kind === 'own' || item.kind === 'part' ? shadeOf(place) : 1}"
        />
        ${
          labelOfPhones &&
          html`<text class="phone" x="${fixed(x + 12)}" y="${fixed(y + 40)}">${labelOfPhones}</text>`
        }
        ${
          label &&
          html`<text x="${fixed(x + 10)}" y="${fixed(y + 23)}">${label}</text> ${
              h > 46 &&
              w > 70 &&
              html`<text class="amount" x="${fixed(x + 10)}" y="${fixed(y + 41)}"
                >${bytesText(item.packed ?? item.size)}</text
              >`
            }`
        }
      </g>`
    })}
  </svg>`
}

const fixed = (value: number): string => value.toFixed(1)

/** The largest tiles are the strongest, so that neighbours of one kind differ. */
const shadeOf = (place: number): string => Math.max(0.45, 1 - place * 0.06).toFixed(2)

/** The part of a title that fits on a tile; undefined if nothing fits. `perCharacter` is the width of one. */
function labelFor(title: string, w: number, h: number, perCharacter: number): string | undefined {
  const most = Math.floor((w - 16) / perCharacter)
  if (h < 30 || most < 4) return undefined
  const [first = ''] = title.split(', ')
  return first.length <= most ? first : `${first.slice(0, most - 1)}…`
}

const sizeText = ({ packed, size }: ShownLayer): string =>
  packed === undefined ? `${bytesText(size)} unpacked` : `${bytesText(packed)} to download`

const table = (layers: readonly ShownLayer[]): Html =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="Layers">
    <table>
      <thead>
        <tr>
          <th scope="col">contents</th>
          <th scope="col">download</th>
          <th scope="col">unpacked</th>
          <th scope="col">kind</th>
        </tr>
      </thead>
      <tbody>
        ${layers.map(
          ({ title, size, packed, digest, kind, sharedWith }) =>
            html`<tr>
              <td>
                ${title}${digest !== undefined && html`<br /><code class="quiet small">${digest.slice(0, 19)}…</code>`}
              </td>
              <td class="fixed">${packed === undefined ? 'not packed yet' : bytesText(packed)}</td>
              <td class="fixed">${size === 0 ? '–' : bytesText(size)}</td>
              <td>${kinds[kind]}${sharedWith.length > 0 && html`: ${sharedWith.join(', ')}`}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
