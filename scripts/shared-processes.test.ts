import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { execa } from 'execa'
import { shareProcesses } from './shared-processes.ts'

it('test files share processes, except those that change the process; hooks apply to one file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-shared-'))
  try {
    const write = async (name: string, text: string) => {
      const file = join(folder, name)
      await writeFile(file, text)
      return file
    }
    const plain = await Promise.all(
      Array.from({ length: 30 }, (_, index) => write(`${index}.test.ts`, "it('works', () => {})")),
    )
    const alone = await Promise.all([
      write('environment.test.ts', "  process.env['A'] = 'b'\n"),
      write('loading.test.ts', "import './engines-testing.ts'\nbefore(() => {})\n"),
    ])
    const hooked = await write(
      'hook.test.ts',
      "import { before, it } from 'node:test'\nlet ready = 0\nbefore(() => void ready++)\n" +
        "it('has run its hook once', () => { if (ready !== 1) throw new Error(`${ready}`) })\n",
    )
    const files = shareProcesses([...alone, hooked, ...plain], join(folder, 'modules'))
    assert.deepEqual(files.slice(2), alone)
    const modules = await Promise.all(files.slice(0, 2).map((file) => readFile(file, 'utf8')))
    const lines = modules.flatMap((text) => text.split('\n'))
    assert.deepEqual(
      lines.filter((line) => line.startsWith('import "')),
      plain.map((file) => `import "${pathToFileURL(file).href}"`),
    )
    const suite = lines.find((line) => line.startsWith('describe('))
    const own = await write('own.test.mjs', `${lines.slice(0, 3).join('\n')}\n${suite}\n`)
    const { stdout } = await execa(process.execPath, ['--test', '--test-reporter=tap', own], {
      env: { NODE_TEST_CONTEXT: undefined },
    })
    assert.match(stdout, /ok 1 - has run its hook once/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
