import { NixeryError } from '../errors.ts'
import { isStream, type Opened, type Reply } from './reply.ts'

/** Bounds how many blobs are sent at once: each holds a file, some memory and a connection. */
export type Streams = {
  /** Blobs that are being sent. */
  readonly active: number
  /** Requests that found no room. */
  readonly refused: number
  /** The same answer. Its body, if it is one that has to be opened, fails to with OVERLOADED when there is no room. */
  bound(reply: Reply): Reply
}

/** @param limit how many, at least one */
export function createStreams(limit: number): Streams {
  let active = 0
  let refused = 0

  const take = () => {
    if (active >= limit) {
      refused += 1
      throw new NixeryError('OVERLOADED', `${limit} blobs are being sent at once already`, {
        hint: 'try again in a few seconds',
      })
    }
    active += 1
  }
  const openWith = async (open: () => Promise<Opened>): Promise<Opened> => {
    take()
    try {
      const opened = await open()
      return {
        chunks: () => opened.chunks(),
        close: async () => {
          active -= 1
          await opened.close()
        },
      }
    } catch (error) {
      active -= 1
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
    bound(reply) {
      const { body } = reply
      return isStream(body) ? { ...reply, body: { open: () => openWith(() => body.open()) } } : reply
    },
  }
}
