import { mapTexts, type Redactor } from '../text/redact.ts'

/**
 * Removes secrets from a JSON line. Most lines contain none, and there may be thousands a second: only suspicious lines
 * are parsed again.
 */
export function redactJsonLine(line: string, redactor: Redactor): string {
  if (!redactor.suspects(line)) return line
  try {
    return `${JSON.stringify(mapTexts(JSON.parse(line), redactor.text))}\n`
  } catch {
    return `${redactor.text(line.trimEnd())}\n`
  }
}
