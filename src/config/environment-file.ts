import { parseEnv } from 'node:util'
import { NixeryError } from '../errors.ts'

const assignment = /^\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=/
const blankOrComment = /^\s*(?:#.*)?$/

/**
 * Reads a file of NAME=value lines, as systemd and `docker --env-file` do; quoted values may have several lines.
 * @param file its name, for messages
 * @throws CONFIG_INVALID with the first line that is not an assignment: it may be a misspelled setting
 */
export function parseEnvironmentFile(text: string, file: string): Map<string, string> {
  const variables = new Map(Object.entries(parseEnv(text)).map(([name, value = '']) => [name, value]))
  const continued = new Set([...variables.values()].flatMap((value) => value.split('\n').slice(1)))
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (assignment.test(line) || blankOrComment.test(line)) continue
    // The last line of a value ends with its quote.
    if (continued.has(line) || continued.has(line.replace(/["'`]\s*(?:#.*)?$/, ''))) continue
    // The line itself may contain a secret.
    throw new NixeryError('CONFIG_INVALID', `${file}, line ${index + 1}: not of the form NAME=value`, {
      hint: 'correct the line, or begin it with # to make it a comment',
    })
  }
  return variables
}
