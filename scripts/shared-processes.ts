import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Test files per process. A process takes about as long to start and to load libraries as one file takes to run. */
const filesPerProcess = 16

/**
 * Signs of a test file that needs its own process: hooks for all its tests, which would also run for those of other files,
 * and state of the process: its environment, clock, memory, signals.
 */
const needsOwnProcess =
  /^(before|beforeEach|afterEach)\(|upkeep-testing|\bmock\.|process\.(env\[|on\(|once\(|exitCode|chdir|umask|memoryUsage|resourceUsage|cpuUsage)/m

/**
 * Lets test files share processes: neighbours are imported by a generated module, which the test runner runs as one file.
 * Tests still report their own file.
 * @param files paths relative to the working directory
 * @param folder a folder for the generated modules, which is emptied
 * @returns the files to run: the modules, then the test files that need their own process
 */
export function shareProcesses(files: readonly string[], folder: string): string[] {
  const isAlone = (file: string): boolean => needsOwnProcess.test(readFileSync(file, 'utf8'))
  const [alone, shared] = [files.filter(isAlone), files.filter((file) => !isAlone(file))]
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const modules: string[] = []
  for (let start = 0; start < shared.length; start += filesPerProcess) {
    const imports = shared
      .slice(start, start + filesPerProcess)
      .map((file) => `import ${JSON.stringify(pathToFileURL(file).href)}\n`)
    const module = join(folder, `${modules.length + 1}.test.js`)
    writeFileSync(module, imports.join(''))
    modules.push(module)
  }
  return [...modules, ...alone]
}
