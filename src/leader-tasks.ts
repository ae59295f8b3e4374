import type { Lead } from './catalog/lead.ts'
import type { State } from './state.ts'

/** Periodic tasks that only one of all processes performs. */
export type LeaderTasks = { stop(): void | Promise<void> }

/**
 * Runs work while this process has the lead, and tries to take the lead while another process has it.
 * @param take takes the lead; a failure counts as another's lead
 * @param begin starts the work when this process becomes the leader
 * @param every milliseconds between attempts
 */
export function whileLeading(
  take: () => Promise<Lead | undefined>,
  begin: () => LeaderTasks,
  every = 5_000,
): { stop(): Promise<void> } {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let current: { readonly lead: Lead; readonly duties: LeaderTasks } | undefined

  const attempt = async () => {
    const lead = await take().catch(() => undefined)
    if (lead && stopped) return lead.release()
    if (!lead) {
      timer = setTimeout(() => {
        attempting = attempt()
      }, every).unref()
      return
    }
    const duties = begin()
    current = { lead, duties }
    lead.lost.addEventListener('abort', () => {
      if (stopped) return
      current = undefined
      attempting = Promise.resolve(duties.stop()).then(attempt)
    })
  }
  let attempting = attempt()

  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      const { lead, duties } = current ?? {}
      await Promise.all([duties?.stop(), attempting])
      await lead?.release()
    },
  }
}

/** The lead among processes that share a database; a catalog in a file has a single process. */
export async function leadDuties({
  postgres,
  catalog,
}: Pick<State, 'postgres' | 'catalog'>): Promise<Lead | undefined> {
  if (postgres) return catalog.upkeep.lock('duties')
  return { lost: new AbortController().signal, release: () => Promise.resolve() }
}
