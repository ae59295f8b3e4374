import { NixeryError } from '../errors.ts'
import { noWords, parseImageReference, type ImageRequest } from './name.ts'
import { encodeSpelling } from './spelling.ts'

/** The text up to the end of a part: quoted, as in Nix, or unquoted. */
const part = /^(?:"((?:[^"\\]|\\.)*)"|([^"./:]*))/su
/** Parts that need no quotes although an image reference cannot contain them. */
const unquoted = /^(?=.*[+'@])[a-z0-9_+'@-]+$/i

/**
 * Parses `shell/git:TAG` from the command line, where attributes may be written as in Nix: `gtk+3`, `"python3.11"`,
 * `nodePackages."@angular/cli"`.
 * @throws NAME_INVALID, TAG_INVALID
 */
export function parseWrittenReference(text: string, vocabulary = noWords): ImageRequest {
  let rest = text
  let reference = ''
  for (;;) {
    const [all, quoted, plain = ''] = part.exec(rest) ?? ['']
    const isSpelled = quoted !== undefined || unquoted.test(plain)
    reference += isSpelled ? encodeSpelling(quoted?.replaceAll(/\\(.)/gsu, '$1') ?? plain) : plain
    rest = rest.slice(all.length)
    const separator = rest.slice(0, 1)
    if (quoted === '' || (quoted !== undefined && !/^[./:]?$/.test(separator))) {
      throw new NixeryError('NAME_INVALID', 'quotes must enclose a whole part of a name')
    }
    // Tags have no quotes. The grammar of names reports errors.
    if (separator !== '/' && separator !== '.') return parseImageReference(reference + rest, vocabulary)
    reference += separator
    rest = rest.slice(1)
  }
}

/**
 * Parses the name of one package, written as for `parseWrittenReference`, to the form in image names.
 * @throws NAME_INVALID
 */
export function encodeAttribute(text: string): string {
  const before = '_'
  const { packages, tag } = parseWrittenReference(`${before}/${text}`)
  const [name, ...more] = packages.filter((each) => each !== before)
  if (name !== undefined && more.length === 0 && tag === 'latest' && !text.endsWith(':latest')) return name
  throw new NixeryError('NAME_INVALID', 'is not the name of one package')
}
