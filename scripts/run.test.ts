import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { execa } from 'execa'

it('prints one line about needing root if sudo cannot ask for a password', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-run-'))
  try {
    // An unprivileged user whose sudo requires a password.
    const programs = {
      id: 'echo 1000',
      sudo: 'echo "sudo: a terminal is required to read the password" >&2; exit 1',
    }
    for (const [name, script] of Object.entries(programs)) {
      await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`)
      await chmod(join(folder, name), 0o755)
    }
    const { stderr, exitCode } = await execa(join(import.meta.dirname, 'run'), ['none.ts'], {
      env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
      stdin: 'ignore',
      reject: false,
    })
    assert.equal(exitCode, 1)
    assert.match(stderr, /^nixery: this needs root, and sudo cannot ask .*$/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
