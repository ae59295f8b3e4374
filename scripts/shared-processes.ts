import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Test files per process. A process takes about as long to start and to load libraries as one file takes to run. */
const filesPerProcess = 24

/** Hooks for all tests of a file, its own or of a helper. */
const hasHooks = /^(before|beforeEach|afterEach)\(|upkeep-testing/m

/** Signs of a test file that needs its own process: state of the process, such as its environment, clock or signals. */
const needsOwnProcess =
  /\bmock\.|process\.(env\[|on\(|once\(|exitCode|chdir|umask|memoryUsage|resourceUsage|cpuUsage)/

/**
 * Lets test files share processes: neighbours are loaded by a generated module, which the test runner runs as one file.
 * A file with hooks is loaded inside a suite, so that its hooks apply to its own tests. Tests still report their own file.
 * @param files paths relative to the working directory
 * @param folder a folder for the generated modules, which is emptied
 * @returns the files to run: the modules, then the test files that need their own process
 */
export function shareProcesses(files: readonly string[], folder: string): string[] {
  const tests = files.map((file) => ({ file, text: readFileSync(file, 'utf8') }))
  const isAlone = ({ text }: { text: string }): boolean =>
    // A module that loads asynchronously cannot be loaded inside a suite.
    needsOwnProcess.test(text) || (hasHooks.test(text) && text.includes('engines-testing'))
  const alone = tests.filter(isAlone)
  const shared = tests.filter((test) => !isAlone(test))
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const modules: string[] = []
  for (let start = 0; start < shared.length; start += filesPerProcess) {
    const module = join(folder, `${modules.length + 1}.test.js`)
    writeFileSync(module, moduleOf(shared.slice(start, start + filesPerProcess)))
    modules.push(module)
  }
  return [...modules, ...alone.map(({ file }) => file)]
}

const moduleOf = (tests: readonly { readonly file: string; readonly text: string }[]): string =>
  [
    "import { createRequire } from 'node:module'",
    "import { describe } from 'node:test'",
    'const load = createRequire(import.meta.url)',
    ...tests.map(({ file, text }) => {
      const path = JSON.stringify(resolve(file))
      return hasHooks.test(text)
        ? `describe(${JSON.stringify(file)}, () => void load(${path}))`
        : `import ${JSON.stringify(pathToFileURL(file).href)}`
    }),
    '',
  ].join('\n')
