import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { manPages } from '../scripts/man-pages.ts'
import { wholeProgram } from '../src/cli/commands.ts'
import { completionOf } from '../src/cli/completion.ts'
import { launcher } from './support/command.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-line-'))
})
after(() => rm(folder, { recursive: true }))

const nixery = (...args: string[]) =>
  execa(launcher, args, { env: { NIXERY_DATA: join(folder, 'data') }, reject: false })
const has = async (program: string) =>
  (await execa('sh', ['-c', `command -v ${program}`], { reject: false })).exitCode === 0

describe('the help', () => {
  it('of the program fits on a screen of 24 lines', async () => {
    const { stdout } = await nixery('--help')
    const lines = stdout.split('\n')
    assert.ok(lines.length <= 23, `${lines.length} lines`)
    assert.deepEqual(
      lines.filter((line) => line.length > 80 || /^ .*…$/.test(line)),
      [],
    )
  })

  it('is not printed after an error', async () => {
    const { stderr, stdout, exitCode } = await nixery('gc', '--nope')
    assert.equal(exitCode, 2)
    assert.match(stderr, /^error: unknown option '--nope'\n\(add --help for usage\)$/)
    assert.equal(stdout, '')
  })
})

describe('--quiet', () => {
  it('prints only the result and errors', async () => {
    const set = join(folder, 'set')
    const env = { NIXERY_DATA: join(folder, 'data'), NIXERY_RECIPES: set }
    await execa('mkdir', [set])
    await writeFile(join(set, 'web.toml'), 'packages = ["hello"]\n')
    const check = (...args: string[]) => execa(launcher, ['recipe', 'check', ...args], { env, reject: false })
    const { stdout, stderr } = await check('--quiet')
    assert.deepEqual([stdout, stderr], ['web', ''])
    await writeFile(join(set, 'web.toml'), 'packges = ["hello"]\n')
    assert.match((await check('--quiet')).stderr, /^nixery: .*packges/)
  })
})

describe('nixery completion', () => {
  it('completes commands, options and arguments in bash', async () => {
    const script = completionOf('bash', await wholeProgram())
    const complete = `
      t() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _nixery; echo "\${COMPREPLY[*]}"; }
      t nixery bu; t nixery gc --d; t nixery key cr; t nixery key create --e; t nixery completion f; t nixery --env-file /etc/hostn`
    const { stdout } = await execa('bash', ['-c', `${script}\n${complete}`])
    assert.deepEqual(stdout.split('\n'), [
      'build',
      '--dry-run',
      'create',
      '--expires',
      'fish',
      '/etc/hostname',
    ])
  })

  it('completes in zsh', async (t) => {
    if (!(await has('zsh'))) return t.skip('zsh is not installed')
    const script = completionOf('zsh', await wholeProgram())
    // Replaces zsh's completion functions, which need a terminal; _describe gets the name of an array.
    const complete = `
      _describe() { print -l -- \${(P)2} }; _files() { print files }
      t() { words=("$@"); CURRENT=$#; _nixery }`
    const defined = script.replace('_nixery "$@"', '')
    const { stdout } = await execa('zsh', [
      '-fc',
      `${defined}\n${complete}\nt nixery gc ''; t nixery key create ''; t nixery -o ''`,
    ])
    assert.match(stdout, /^--dry-run:show what would be removed/m)
    assert.match(stdout, /^--expires:/m)
    assert.match(stdout, /^files$/m)
  })

  it('completes in fish', async (t) => {
    if (!(await has('fish'))) return t.skip('fish is not installed')
    const script = completionOf('fish', await wholeProgram())
    const file = join(folder, 'nixery.fish')
    await writeFile(file, script)
    const commands = `source ${file}; complete -C 'nixery bu'; complete -C 'nixery gc --d'; complete -C 'nixery key cr'`
    const { stdout } = await execa('fish', ['--no-config', '-c', commands], { env: { HOME: folder } })
    assert.deepEqual(
      stdout.split('\n').map((line) => line.split('\t')[0]),
      ['build', '--dry-run', 'create'],
    )
  })
})

describe('the manual pages', () => {
  it('describe every command and setting, and groff prints no warnings', async (t) => {
    const pages = await manPages('1.2.3')
    assert.match(pages.get('nixery-key-create.1') ?? '', /^\.B \\-\\-expires <time>$/m)
    assert.match(pages.get('nixery.1') ?? '', /^\.B NIXERY_CHANNEL$/m)
    if (!(await has('groff'))) return t.skip('groff is not installed')
    for (const [name, input] of pages) {
      const { stdout, stderr } = await execa('groff', ['-man', '-Tutf8', '-ww', '-P-cbou'], { input })
      assert.equal(stderr, '', name)
      assert.match(stdout, /EXIT STATUS/, name)
    }
  })
})
