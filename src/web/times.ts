import { html } from 'hono/html'
import type { Html } from './layout.ts'

/** `80 ms`, `4.2 s`, `3 min 20 s`, `1 h 5 min` */
export function durationText(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${(ms / 1000).toFixed(1)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}

/** `just now`, `5 min ago`, `2 h ago`, `3 days ago` */
function agoText(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 60) return `${minutes} min ago`
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} days ago`
}

/** `2026-07-30 12:03:22 UTC` */
export const timeText = (at: number): string =>
  `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** How long ago, with the exact time as a tooltip. */
export const ago = (at: number, now: number): Html =>
  html`<time datetime="${new Date(at).toISOString()}" title="${timeText(at)}">${agoText(now - at)}</time>`

/** An image's name, with possible line breaks after slashes. */
export const imageText = (image: string): Html => {
  const [first, ...rest] = image.split('/')
  return html`${first}${rest.map((part) => html`/<wbr />${part}`)}`
}
