import type { License } from '../image/license.ts'

// Characters of one package's expression. What is longer is left out: half of it would say something else.
const mostCharacters = 500

/**
 * A license as an SPDX expression (annex D of the SPDX specification 2.3), as OCI's `licenses` annotation wants it.
 * What SPDX has no id for is a `LicenseRef-`, such as `LicenseRef-unfree`. A list is joined by `AND`, since nixpkgs
 * does not say whether one may choose.
 * @returns undefined where the package says nothing, or a part of it cannot be read
 */
export function spdxExpression(license: License | null): string | undefined {
  const expression = license === null ? undefined : partOf(license)?.text
  return expression !== undefined && expression.length <= mostCharacters ? expression : undefined
}

/** `isWhole`: it needs no brackets inside of another. */
type Part = { readonly text: string; readonly isWhole: boolean }
const whole = (text: string): Part => ({ text, isWhole: true })
const bracketed = ({ text, isWhole }: Part): string => (isWhole ? text : `(${text})`)

/** Whether it is one of SPDX's own ids. */
const isId = ({ text }: Part): boolean => /^(?!LicenseRef-)[0-9A-Za-z.-]+$/.test(text)

function partOf(license: License): Part | undefined {
  if ('text' in license) return ofText(license.text.trim())
  if ('operator' in license) return combined(license.operator, license.licenses)
  if (license.spdxId !== null && /^[0-9A-Za-z.-]{1,80}\+?$/.test(license.spdxId)) return whole(license.spdxId)
  return license.name === null ? undefined : named(license.name)
}

function combined(operator: string, licenses: readonly (License | null)[]): Part | undefined {
  const parts = licenses.map((license) => (license === null ? undefined : partOf(license)))
  const known = parts.filter((part) => part !== undefined)
  const [first, second] = known
  if (!first || known.length < parts.length) return undefined
  if (operator === '+') return isId(first) ? whole(`${first.text}+`) : undefined
  if (operator === 'WITH') {
    const isUsual = isId(first) && second !== undefined && isId(second)
    return isUsual ? { text: `${first.text} WITH ${second.text}`, isWhole: false } : undefined
  }
  if (operator !== 'AND' && operator !== 'OR') return undefined
  const texts = [...new Set(known.map(bracketed))]
  return texts.length === 1 ? first : { text: texts.join(` ${operator} `), isWhole: false }
}

/** A text is an expression if it joins ids that are known; whatever else people write, `GPLv3` say, is a name. */
function ofText(text: string): Part | undefined {
  const words = text.split(' ')
  const isExpression =
    words.length % 2 === 1 &&
    words.every((word, index) =>
      index % 2 === 0 ? usualIds.has(word) : word === words[1] && /^(AND|OR)$/.test(word),
    )
  return isExpression ? { text, isWhole: words.length === 1 } : named(text)
}

// Those that package sets other than nixpkgs, which has a table of all, write as text most.
const usualIds = new Set(
  (
    '0BSD AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 Artistic-2.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause ' +
    'BSL-1.0 CC-BY-4.0 CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 curl EPL-1.0 EPL-2.0 EUPL-1.2 GPL-2.0-only GPL-2.0-or-later ' +
    'GPL-3.0-only GPL-3.0-or-later ISC LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MIT MIT-0 ' +
    'MPL-2.0 MS-PL NCSA OFL-1.1 OpenSSL PostgreSQL Python-2.0 Ruby Unicode-3.0 Unlicense Vim W3C WTFPL X11 Zlib'
  ).split(' '),
)

function named(name: string): Part | undefined {
  const id = name.replace(/[^0-9A-Za-z.-]+/g, '-').replace(/^-+|-+$/g, '')
  return id === '' ? undefined : whole(`LicenseRef-${id.slice(0, 80)}`)
}
