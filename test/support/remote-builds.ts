import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Builds } from '../../src/builds/builds.ts'
import { NixeryError } from '../../src/errors.ts'
import type { Answer } from './worker-process.ts'

/** Builds by a worker in another process, connected by JSON messages only. */
export async function openRemoteBuilds(environment: Readonly<Record<string, string>>): Promise<{
  readonly builds: Pick<Builds, 'known' | 'submit' | 'result' | 'cancel' | 'events'>
  readonly pid: number | undefined
  close(): Promise<void>
}> {
  const child = fork(join(import.meta.dirname, 'worker-process.ts'), {
    env: { ...process.env, ...environment },
    serialization: 'json',
  })
  const exited = once(child, 'exit')
  await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error('the worker ended'))),
  ])
  const open = new Map<number, PromiseWithResolvers<unknown>>()
  let calls = 0
  child.on('message', ({ call, value, failure }: Answer) => {
    const caller = open.get(call)
    open.delete(call)
    if (!failure) caller?.resolve(value)
    else if (failure.code === undefined) caller?.reject(new Error(failure.message))
    else caller?.reject(new NixeryError(failure.code, failure.message, { detail: failure.detail as never }))
  })
  const call = <T>(method: string, ...args: readonly unknown[]): Promise<T> => {
    calls += 1
    const caller = Promise.withResolvers<unknown>()
    open.set(calls, caller)
    child.send({ call: calls, method, args })
    return caller.promise as Promise<T>
  }
  return {
    builds: {
      known: () => undefined,
      submit: (request, options) => call('submit', request, options),
      result: (id) => call('result', id),
      cancel: (id) => call('cancel', id),
      async *events() {}, // no test uses events
    },
    pid: child.pid,
    async close() {
      child.disconnect()
      await exited
    },
  }
}
