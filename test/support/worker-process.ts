/**
 * A worker in a separate process. Executes the calls that `remote-builds.ts` sends, until its parent disconnects. Takes
 * its settings from the environment.
 */
import { readConfig } from '../../src/config.ts'
import { NixeryError } from '../../src/errors.ts'
import type { BuildFailure, BuildOptions } from '../../src/builds/builds.ts'
import type { ImageRequest } from '../../src/image/name.ts'
import { openLocalWorker } from './worker.ts'

export type Call = { readonly call: number } & (
  | { readonly method: 'submit'; readonly args: readonly [ImageRequest, BuildOptions] }
  | { readonly method: 'result' | 'cancel'; readonly args: readonly [string] }
)
export type Answer = { readonly call: number; readonly value?: unknown; readonly failure?: BuildFailure }

const silent = () => {}
const worker = await openLocalWorker(readConfig(process.env), {
  listener: silent,
  note: silent,
  warn: silent,
})
const { builds } = worker

const answer = (call: Call): Promise<unknown> => {
  switch (call.method) {
    case 'submit':
      return builds.submit(...call.args)
    case 'result':
      return builds.result(...call.args)
    case 'cancel':
      return builds.cancel(...call.args)
  }
}

process.on('message', (call: Call) => {
  const reply = (outcome: Omit<Answer, 'call'>) =>
    process.send?.({ call: call.call, ...outcome } satisfies Answer)
  answer(call).then(
    (value) => reply({ value }),
    (error: unknown) => {
      const { message } = error as Error
      const { code, hint, detail } = error instanceof NixeryError ? error : {}
      reply({ failure: { code, message, hint, detail } })
    },
  )
})
process.once('disconnect', () => void worker.close())
process.send?.('ready')
