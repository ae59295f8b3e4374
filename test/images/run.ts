import type { Client, RunResult } from '../support/clients/client.ts'
import type { Group } from './table.ts'

// Runs each argument in a separate shell, so that no script sees another's variables.
const runEach = String.raw`for each in "$@"; do printf '\001\n'; sh -c "$each" 2>&1; done`

/** The trimmed output of each case of a group, including error messages. */
export async function runGroup(client: Client, image: string, group: Group, name: string): Promise<string[]> {
  const { cases, container = {}, keep } = group
  if (!client.runAs || !client.keep) throw new Error(`${name} has no containers`)
  if (keep) {
    const running = await client.keep(image, container, ...keep)
    const outputs: string[] = []
    try {
      for (const { run, input, except = {} } of cases) {
        const isSkipped = Object.keys(except).some((each) => name.startsWith(each))
        const command = typeof run === 'string' ? ['sh', '-c', run] : run
        const { env } = container
        const options = { ...(env && { env }), ...(input !== undefined && { input }) }
        outputs.push(isSkipped ? '' : textOf(await running.exec(command, options)))
      }
    } finally {
      await running.remove()
    }
    return outputs
  }
  const [first] = cases
  if (first === undefined) return []
  if (typeof first.run !== 'string') return [textOf(await client.runAs(image, container, ...first.run))]
  const scripts = cases.map(({ run }) => String(run))
  const { output } = await client.runAs(image, container, 'sh', '-c', runEach, 'sh', ...scripts)
  const [before = '', ...outputs] = output.split('\u0001')
  // The container did not start.
  if (outputs.length === 0) return cases.map(() => before.trim())
  return outputs.map((each) => each.trim())
}

const textOf = ({ output }: RunResult): string => output.replaceAll('\r', '').trim()
