import type { Config } from '../../src/config.ts'
import { openState, type State } from '../../src/state.ts'
import { openWorker, type Worker, type WorkerOptions } from '../../src/worker.ts'

export type LocalWorker = Omit<State, 'close'> & Worker

/** A worker with its own state. */
export async function openLocalWorker(config: Config, options: WorkerOptions): Promise<LocalWorker> {
  const state = await openState(config, options)
  const worker = await openWorker(config, state, options)
  return {
    ...state,
    ...worker,
    async close() {
      await worker.close()
      await state.close()
    },
  }
}
