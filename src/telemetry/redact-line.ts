import { mapTexts, type Redactor } from '../text/redact.ts'

/**
 * A line of JSON without secrets. Most lines have none, and thousands may be written in a second: only a suspicious
 * one is read again.
 */
export function redactJsonLine(line: string, redactor: Redactor): string {
  if (!redactor.suspects(line)) return line
  try {
    return `${JSON.stringify(mapTexts(JSON.parse(line), redactor.text))}\n`
  } catch {
    return `${redactor.text(line.trimEnd())}\n`
  }
}
