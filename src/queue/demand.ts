import { NixeryError } from '../errors.ts'

/**
 * The urgency of work: no client waits (`background`), a client got a retry response (`expected`), or a client is
 * connected (`waiting`). More urgent work starts first.
 */
export const urgencies = { background: 0, expected: 1, waiting: 2 } as const
export type Urgency = (typeof urgencies)[keyof typeof urgencies]

/** The demand for a piece of work. */
export type Demand = {
  /** The current urgency. It changes when clients connect and disconnect. */
  readonly urgency: () => Urgency
  /** Fires when the work is no longer needed. */
  readonly signal: AbortSignal
}

/** The default urgency is `waiting`; without a signal, the work is always needed. */
export type PartialDemand = { readonly [Key in keyof Demand]?: Demand[Key] | undefined }

/** The error of work that was cancelled because all clients have disconnected. */
export const unwanted = (cause?: unknown): NixeryError =>
  new NixeryError('CANCELLED', 'all clients have disconnected', { cause })
