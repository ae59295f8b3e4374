import type { License } from '../image/license.ts'

// Characters of one package's expression. A longer one is omitted, since truncating it would change its meaning.
const mostCharacters = 500

/**
 * A license as an SPDX expression (annex D of the SPDX specification 2.3), for OCI's `licenses` annotation. Licenses
 * without an SPDX id become a `LicenseRef-`, such as `LicenseRef-unfree`. Lists are joined with `AND`, since nixpkgs does
 * not say whether the user may choose.
 * @returns undefined if the package has no license, or term of it is not valid
 */
export function spdxExpression(license: License | null): string | undefined {
  const expression = license === null ? undefined : termOf(license)?.text
  return expression !== undefined && expression.length <= mostCharacters ? expression : undefined
}

/** Term of an expression. `isWhole`: it needs no parentheses inside another one. */
type Term = { readonly text: string; readonly isWhole: boolean }
const whole = (text: string): Term => ({ text, isWhole: true })
const bracketed = ({ text, isWhole }: Term): string => (isWhole ? text : `(${text})`)

/** Whether it is a plain SPDX id. */
const isId = ({ text }: Term): boolean => /^(?!LicenseRef-)[0-9A-Za-z.-]+$/.test(text)

function termOf(license: License): Term | undefined {
  if ('text' in license) return ofText(license.text.trim())
  if ('operator' in license) return combined(license.operator, license.licenses)
  if (license.spdxId !== null && /^[0-9A-Za-z.-]{1,80}\+?$/.test(license.spdxId)) return whole(license.spdxId)
  return license.name === null ? undefined : named(license.name)
}

function combined(operator: string, licenses: readonly (License | null)[]): Term | undefined {
  const terms = licenses.map((license) => (license === null ? undefined : termOf(license)))
  const known = terms.filter((term) => term !== undefined)
  const [first, second] = known
  if (!first || known.length < terms.length) return undefined
  if (operator === '+') return isId(first) ? whole(`${first.text}+`) : undefined
  if (operator === 'WITH') {
    const isUsual = isId(first) && second !== undefined && isId(second)
    return isUsual ? { text: `${first.text} WITH ${second.text}`, isWhole: false } : undefined
  }
  if (operator !== 'AND' && operator !== 'OR') return undefined
  const texts = [...new Set(known.map(bracketed))]
  return texts.length === 1 ? first : { text: texts.join(` ${operator} `), isWhole: false }
}

/** A text is an expression if it joins known ids; any other text, such as `GPLv3`, is a name. */
function ofText(text: string): Term | undefined {
  const words = text.split(' ')
  const isExpression =
    words.length % 2 === 1 &&
    words.every((word, index) =>
      index % 2 === 0 ? usualIds.has(word) : word === words[1] && /^(AND|OR)$/.test(word),
    )
  return isExpression ? { text, isWhole: words.length === 1 } : named(text)
}

// Common ids in package sets that write licenses as text (nixpkgs has a table of all licenses).
const usualIds = new Set(
  (
    '0BSD AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 Artistic-2.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause ' +
    'BSL-1.0 CC-BY-4.0 CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 curl EPL-1.0 EPL-2.0 EUPL-1.2 GPL-2.0-only GPL-2.0-or-later ' +
    'GPL-3.0-only GPL-3.0-or-later ISC LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MIT MIT-0 ' +
    'MPL-2.0 MS-PL NCSA OFL-1.1 OpenSSL PostgreSQL Python-2.0 Ruby Unicode-3.0 Unlicense Vim W3C WTFPL X11 Zlib'
  ).split(' '),
)

function named(name: string): Term | undefined {
  const id = name.replace(/[^0-9A-Za-z.-]+/g, '-').replace(/^-+|-+$/g, '')
  return id === '' ? undefined : whole(`LicenseRef-${id.slice(0, 80)}`)
}
