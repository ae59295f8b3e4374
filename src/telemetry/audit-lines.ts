import { appendFileSync } from 'node:fs'
import { appendFile, open } from 'node:fs/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { createLines, type Lines } from './lines.ts'

export type AuditLines = Lines & {
  /** Waits until everything is written. */
  close(): Promise<void>
}

// UTF-16 units. If the disk stays slower than this, lines are dropped, and the log reports it.
const most = 16 * 1024 * 1024

/**
 * Opens a target of audit lines: `stderr`, `fd:N`, or a file. A file is opened again for each write, so it can be
 * moved away at any time, as logrotate does.
 * @throws CONFIG_INVALID when nothing can be written there
 */
export async function openAuditLines(target: string, warn: (line: string) => void): Promise<AuditLines> {
  const fd = target === 'stderr' ? 2 : /^fd:(?<fd>\d{1,5})$/.exec(target)?.groups?.['fd']
  if (fd !== undefined) {
    const lines = createLines(Number(fd))
    return { ...lines, close: () => Promise.resolve(lines.flush()) }
  }
  await checkFile(target)
  return fileLines(target, warn)
}

async function checkFile(file: string): Promise<void> {
  try {
    await (await open(file, 'a', 0o600)).close()
  } catch (cause) {
    const reason = systemErrorCode(cause) ?? 'unknown'
    throw new NixeryError('CONFIG_INVALID', `NIXERY_AUDIT_LOG: ${file} cannot be written: ${reason}`, {
      cause,
    })
  }
}

function fileLines(file: string, warn: (line: string) => void): AuditLines {
  let waiting: string[] = []
  let size = 0
  let dropped = 0
  let writing: Promise<void> | undefined
  let isFailing = false

  const failed = (error: unknown) => {
    if (!isFailing) warn(`cannot write the audit log; its lines wait in memory: ${systemErrorCode(error)}`)
    isFailing = true
  }
  const write = async () => {
    // Lines that arrive in the meantime go into the next write.
    while (waiting.length > 0) {
      const lines = waiting
      waiting = []
      try {
        await appendFile(file, lines.join(''), { mode: 0o600 })
        size = waiting.reduce((sum, line) => sum + line.length, 0)
        if (isFailing) warn(`the audit log can be written again; ${dropped} lines were dropped`)
        isFailing = false
        dropped = 0
      } catch (error) {
        waiting = [...lines, ...waiting]
        failed(error)
        return
      }
    }
  }
  const start = () => {
    writing ??= write().finally(() => (writing = undefined))
  }
  return {
    write(line) {
      if (size + line.length > most) {
        dropped += 1
      } else {
        waiting.push(line)
        size += line.length
      }
      start()
    },
    flush() {
      if (waiting.length === 0) return
      try {
        appendFileSync(file, waiting.join(''), { mode: 0o600 })
        waiting = []
      } catch (error) {
        failed(error)
      }
    },
    async close() {
      await writing
      start()
      await writing
    },
  }
}
