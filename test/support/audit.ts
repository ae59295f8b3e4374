import { readFile } from 'node:fs/promises'

export type AuditEvent = { readonly event: string; readonly reason?: string } & Readonly<
  Record<string, unknown>
>

/** The events in an audit log, which a server writes shortly after what they report; none if there is no file yet. */
export async function auditEvents(file: string): Promise<AuditEvent[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  // What follows the last line break is a line that is being written.
  const lines = text.split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as AuditEvent)
}
