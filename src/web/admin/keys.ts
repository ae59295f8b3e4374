import { html } from 'hono/html'
import type { KeyProblem, KeyRequest, ShownKey } from '../../credentials/new-key.ts'
import type { Html } from '../layout.ts'
import { partOf, tableOf, type Read } from './parts.ts'

/** The forms for keys. */
export type KeyForms = {
  /** The CSRF token; undefined for a viewer who may not change keys. */
  readonly csrf: string | undefined
  /** Why a viewer may not change keys, if that can be resolved. */
  readonly needsSession: boolean
  /** A key that was just created, to be shown once. */
  readonly made: { readonly key: string; readonly made: ShownKey } | undefined
  readonly problem: KeyProblem | undefined
  /** The submitted values. */
  readonly typed: KeyRequest
  /** Whether the page is the response to a form, and must not reload automatically. */
  readonly isAnswer: boolean
}

export const noTyped: KeyRequest = { name: '', groups: '', expires: '90d' }

// The maximum number of listed keys.
const mostKeys = 200

const lifetimes: readonly (readonly [value: string, text: string])[] = [
  ['1d', 'a day'],
  ['30d', '30 days'],
  ['90d', '90 days'],
  ['365d', 'a year'],
  ['never', 'until it is revoked'],
]

/** The keys, valid ones first, newest first, with a form to revoke each and one to create another. */
export const keysPart = (read: Read<readonly ShownKey[]>, forms: KeyForms): Html =>
  html`<div id="keys">
    ${forms.made && madeText(forms.made)}
    ${partOf('API keys', read, (keys) => {
      const ordered = [...keys].reverse().toSorted((a, b) => Number(isOver(a)) - Number(isOver(b)))
      return html`${keys.length === 0 ? html`<p class="quiet">There are none.</p>` : keysTable(ordered, forms)}
      ${keys.length > mostKeys && html`<p class="quiet small">The first ${mostKeys} of ${keys.length}: nixery key list has all.</p>`}`
    })}
    ${
      forms.csrf === undefined
        ? html`<p class="quiet small">
            ${
              forms.needsSession
                ? html`<a href="/login?back=%2Fadmin">Log in</a> to make and revoke keys.`
                : 'To make and revoke keys, you need the action "keys".'
            }
          </p>`
        : createForm(forms.csrf, forms)
    }
  </div>`

const isOver = ({ state }: ShownKey): boolean => state !== 'valid'

const dayOf = (time: string): string => time.slice(0, 10)

const keysTable = (keys: readonly ShownKey[], { csrf }: KeyForms): Html =>
  tableOf(
    ['id', 'user', 'groups', 'made on', 'state', ...(csrf === undefined ? [] : ['change'])],
    keys
      .slice(0, mostKeys)
      .map((key) => [
        html`<code>${key.id}</code>`,
        key.name,
        key.groups.join(', ') || '–',
        dayOf(key.created),
        isOver(key) ? key.state : key.expires === undefined ? 'valid' : `valid until ${dayOf(key.expires)}`,
        ...(csrf === undefined ? [] : [isOver(key) ? '' : revokeForm(csrf, key)]),
      ]),
  )

const revokeForm = (csrf: string, { id, name }: ShownKey): Html =>
  html`<form method="post" action="/admin/keys/revoke">
    <input type="hidden" name="csrf" value="${csrf}" /><input type="hidden" name="id" value="${id}" />
    <button class="small-button">Revoke<span class="visually-hidden"> key ${id} of ${name}</span></button>
  </form>`

const createForm = (csrf: string, { problem, typed }: KeyForms): Html =>
  html`<form class="create" method="post" action="/admin/keys">
    <h3>Make a key</h3>
    ${problem && html`<p role="alert" class="problem">${problem.message}: ${problem.hint}.</p>`}
    <input type="hidden" name="csrf" value="${csrf}" />
    <div class="field">
      <label
        >User that it stands for<br /><input
          type="text"
          name="name"
          required
          maxlength="128"
          value="${typed.name}"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
      /></label>
      <label
        >Groups, separated by commas<br /><input
          type="text"
          name="groups"
          maxlength="1000"
          value="${typed.groups}"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
      /></label>
      <label
        >Valid for<br /><select name="expires">
          ${lifetimes.map(
            ([value, text]) =>
              html`<option value="${value}" ${value === typed.expires && html`selected`}>${text}</option>`,
          )}
        </select></label
      >
      <button class="main">Make a key</button>
    </div>
  </form>`

const madeText = ({ key, made }: NonNullable<KeyForms['made']>): Html =>
  html`<section role="status" class="made">
    <h2>A new key for ${made.name}</h2>
    <p>Copy it now: it is not shown again. Clients send it as the password of any user name.</p>
    <pre tabindex="0" role="region" aria-label="The new key"><code id="key">${key}</code></pre>
  </section>`
