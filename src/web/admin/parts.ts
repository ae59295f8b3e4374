import { html } from 'hono/html'
import type { Html } from '../layout.ts'

/** The data of a part of the page: the value, or the code of the failure. */
export type Read<T> = { readonly value: T } | { readonly failure: string }

/** A part of the page; reports if its data cannot be read. */
export const partOf = <T>(title: string, read: Read<T>, show: (value: T) => Html): Html =>
  html`<section>
    <h2>${title}</h2>
    ${'value' in read ? show(read.value) : html`<p class="problem">This cannot be read: ${read.failure}. The log has the reason.</p>`}
  </section>`

export type Cell = string | number | Html

/** A table; `head` contains the column names, the first of which is the row's name. */
export const tableOf = (head: readonly string[], rows: readonly (readonly Cell[])[]): Html =>
  html`<table class="rows">
    <thead>
      <tr>
        ${head.map((name) => html`<th scope="col">${name}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (cells) =>
          html`<tr>
            ${cells.map((cell, column) => html`<td data-label="${head[column] ?? ''}">${cell}</td>`)}
          </tr>`,
      )}
    </tbody>
  </table>`
