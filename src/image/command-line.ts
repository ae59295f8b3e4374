import { NixeryError } from '../errors.ts'
import { parseImageReference, type ImageRequest } from './name.ts'
import { encodeSpelling } from './spelling.ts'

/** What follows up to the end of a part: text in quotes, as Nix writes it, or without. */
const part = /^(?:"((?:[^"\\]|\\.)*)"|([^"./:]*))/su
/** Characters that may be written without quotes, though no image reference can hold them. */
const unquoted = /^(?=.*[+'@])[a-z0-9_+'@-]+$/i

/**
 * `shell/git:TAG` as on the command line, where attributes may be written as they are: `gtk+3`, `"python3.11"`,
 * `nodePackages."@angular/cli"`.
 * @throws NAME_INVALID, TAG_INVALID
 */
export function parseWrittenReference(text: string): ImageRequest {
  let rest = text
  let reference = ''
  for (;;) {
    const [all, quoted, plain = ''] = part.exec(rest) ?? ['']
    const isSpelled = quoted !== undefined || unquoted.test(plain)
    reference += isSpelled ? encodeSpelling(quoted?.replaceAll(/\\(.)/gsu, '$1') ?? plain) : plain
    rest = rest.slice(all.length)
    const separator = rest.slice(0, 1)
    if (quoted === '' || (quoted !== undefined && !/^[./:]?$/.test(separator))) {
      throw new NixeryError('NAME_INVALID', 'what stands in quotes is one whole part of a name')
    }
    // A tag has none of this, and what is wrong is for the grammar of names to say.
    if (separator !== '/' && separator !== '.') return parseImageReference(reference + rest)
    reference += separator
    rest = rest.slice(1)
  }
}
