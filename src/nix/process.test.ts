import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode, NixeryError } from '../errors.ts'
import { run, type RunOptions } from './process.ts'

const path = process.env['PATH'] ?? ''

const shell = (script: string, options: Partial<RunOptions> = {}) =>
  run('sh', ['-c', script], { environment: { PATH: path }, timeout: 60_000, ...options })

describe('run', () => {
  it('returns standard output, and passes on lines of standard error as they arrive', async () => {
    const lines: string[] = []
    const result = await shell('echo one >&2; echo out; printf "two\\n\\nthree" >&2', {
      onLine: (line) => lines.push(line),
    })
    assert.deepEqual(result, { ok: true, stdout: 'out' })
    assert.deepEqual(lines, ['one', 'two', '', 'three'])
  })

  it('passes the given environment only', async () => {
    assert.notEqual(process.env['HOME'], undefined)
    const result = await run('env', [], { environment: { PATH: path, ADDED: 'added' }, timeout: 60_000 })
    assert.ok(result.ok)
    assert.deepEqual(result.stdout.split('\n').sort(), ['ADDED=added', `PATH=${path}`])
  })

  it('starts no shell', async () => {
    const result = await run('echo', ['$(id)', ';', '`id`'], { environment: { PATH: path }, timeout: 60_000 })
    assert.deepEqual(result, { ok: true, stdout: '$(id) ; `id`' })
  })

  it('is not blocked by a long standard error, and keeps its last lines', async () => {
    const result = await shell('i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3')
    assert.ok(!result.ok)
    assert.equal(result.exitCode, 3)
    assert.equal(result.lines.length, 200)
    assert.equal(result.lines.at(-1), 'line 19999')
  })

  it('keeps the beginning of an endless line', async () => {
    const result = await shell('head -c 5000000 /dev/zero | tr "\\0" x >&2; echo; echo next >&2; exit 1')
    assert.ok(!result.ok)
    // It is truncated at a word boundary: `src/text/plain.ts`.
    assert.deepEqual(result.lines, [`${'x'.repeat(1499)}…`])
  })

  it('decodes characters that are split over two chunks', async () => {
    const lines: string[] = []
    const onLine = (line: string) => lines.push(line)
    await shell('printf "\\303" >&2; sleep 0.1; printf "\\251\\n\\377\\n" >&2', { onLine })
    assert.deepEqual(lines, ['é', '\ufffd'])
  })

  it('ends a process that takes too long', async () => {
    const result = await shell('echo begun >&2; exec sleep 60', { timeout: 1000 })
    assert.deepEqual(result, { ok: false, exitCode: undefined, timedOut: true, lines: ['begun'] })
  })

  it('ends a process with its children, which hold its standard error open', async () => {
    const started = performance.now()
    const script = "trap '' TERM; sleep 300 & wait"
    const outer = `sh -c "${script}" & wait`
    const result = await shell(outer, { timeout: 300, group: true })
    assert.ok(!result.ok && result.timedOut)
    assert.ok(performance.now() - started < 60_000)
  })

  it('reports which signal ended a process', async () => {
    const result = await shell('kill -9 $$')
    assert.ok(!result.ok)
    assert.deepEqual(result.lines, ['error: sh was ended by SIGKILL'])
  })

  it('ends a process that is no longer needed, and starts none', async () => {
    const abort = new AbortController()
    const running = shell('echo begun >&2; exec sleep 60', {
      signal: abort.signal,
      onLine: () => abort.abort(),
    })
    await assert.rejects(running, (error) => hasCode(error, 'CANCELLED'))
    const lines: string[] = []
    const late = shell('echo begun >&2', { signal: abort.signal, onLine: (line) => lines.push(line) })
    await assert.rejects(late, (error) => hasCode(error, 'CANCELLED'))
    assert.deepEqual(lines, [])
  })

  it('ends a process if the listener fails', async () => {
    const onLine = () => {
      throw new Error('of the listener')
    }
    const deaf = shell('while :; do echo line >&2; done', { onLine })
    await assert.rejects(deaf, /of the listener/)
  })

  it('reports what is missing', async () => {
    const missing = run('nix-nowhere', [], { environment: { PATH: path }, timeout: 1000 })
    await assert.rejects(missing, (error) => {
      assert.ok(error instanceof NixeryError)
      assert.equal(error.code, 'NIX_UNAVAILABLE')
      assert.match(error.message, /nix-nowhere is not installed/)
      assert.match(error.hint ?? '', /apt-get install nix-bin/)
      return true
    })
  })

  it('distinguishes a Nix that cannot work from a failing build', async () => {
    const unusable = [
      "error: opening lock file '/nix/var/nix/db/big-lock': Permission denied",
      'error: remounting /nix/store writable: Invalid argument',
      "error: could not set permissions on '/nix/var/nix/profiles/per-user' to 755: Operation not permitted",
      "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file or directory",
      'error:\\n       … This command may have been run as non-root\\n\\n       error: opening lock file: Permission denied',
    ]
    for (const text of unusable) {
      const failing = shell(`printf "${text}\\n" >&2; exit 1`)
      await assert.rejects(failing, (error) => hasCode(error, 'NIX_UNAVAILABLE'), text)
    }
    const [first] = unusable
    const result = await shell(`echo "${first}" >&2; echo "error: builder for 'x' failed" >&2; exit 1`)
    assert.equal(result.ok, false)
  })
})
