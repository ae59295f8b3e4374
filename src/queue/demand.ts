import { NixeryError } from '../errors.ts'

/**
 * How much a piece of work is wanted: by nobody who waits (`background`), by a client that was told to retry
 * (`expected`), or by a client that is connected (`waiting`). The more urgent goes first.
 */
export const urgencies = { background: 0, expected: 1, waiting: 2 } as const
export type Urgency = (typeof urgencies)[keyof typeof urgencies]

/** Who wants a piece of work. */
export type Demand = {
  /** The urgency now: it changes as clients come and go. */
  readonly urgency: () => Urgency
  /** Fires when nobody wants it any more. */
  readonly signal: AbortSignal
}

/** Without an urgency, as for a client that waits; without a signal, it is always wanted. */
export type PartialDemand = { readonly [Key in keyof Demand]?: Demand[Key] | undefined }

/** The failure of work that was cancelled because all clients have disconnected. */
export const unwanted = (cause?: unknown): NixeryError =>
  new NixeryError('CANCELLED', 'all clients have disconnected', { cause })
