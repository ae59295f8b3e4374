import { NixeryError } from '../errors.ts'
import { isStream, type OpenBody, type Reply } from './reply.ts'

/** Limits the number of blobs sent at the same time: each uses a file, some memory and a connection. */
export type Streams = {
  /** Blobs being sent. */
  readonly active: number
  /** Requests that were refused because of the limits. */
  readonly refused: number
  /**
   * The same reply. Opening its body fails with OVERLOADED if too many are open.
   * @param client the client whose share is used; undefined if it cannot be distinguished from others
   */
  bound(reply: Reply, client?: string): Reply
}

/**
 * @param limit the maximum number, at least one
 * @param share the maximum number for one client
 */
export function createStreams(limit: number, share = limit): Streams {
  const clients = new Map<string, number>()
  let active = 0
  let refused = 0

  const take = (client: string | undefined) => {
    const taken = client === undefined ? 0 : (clients.get(client) ?? 0)
    if (taken >= share) {
      refused += 1
      throw new NixeryError('OVERLOADED', `${share} blobs are already being sent to this address`, {
        hint: 'try again in a few seconds',
      })
    }
    if (active >= limit) {
      refused += 1
      throw new NixeryError('OVERLOADED', `${limit} blobs are already being sent`, {
        hint: 'try again in a few seconds',
      })
    }
    active += 1
    if (client !== undefined) clients.set(client, taken + 1)
  }
  const giveBack = (client: string | undefined) => {
    active -= 1
    if (client === undefined) return
    const left = (clients.get(client) ?? 1) - 1
    if (left === 0) clients.delete(client)
    else clients.set(client, left)
  }
  const openWith = async (open: () => Promise<OpenBody>, client: string | undefined): Promise<OpenBody> => {
    take(client)
    try {
      const opened = await open()
      return {
        chunks: () => opened.chunks(),
        close: async () => {
          giveBack(client)
          await opened.close()
        },
      }
    } catch (error) {
      giveBack(client)
      throw error
    }
  }
  return {
    get active() {
      return active
    },
    get refused() {
      return refused
    },
    bound(reply, client) {
      const { body } = reply
      return isStream(body) ? { ...reply, body: { open: () => openWith(() => body.open(), client) } } : reply
    },
  }
}
