import type { Digest } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'

/**
 * Rows that could not be removed or replaced because the database failed. They are ignored until that has been done.
 */
export type Doubts = { readonly blobs: Set<Digest>; readonly paths: Set<StorePath> }

/** What can be in doubt. */
export type Doubtful = { readonly blobs?: readonly Digest[]; readonly paths?: readonly StorePath[] }

export const countDoubts = ({ blobs, paths }: Doubts): number => blobs.size + paths.size

function addDoubts(doubts: Doubts, { blobs = [], paths = [] }: Doubtful): void {
  for (const digest of blobs) doubts.blobs.add(digest)
  for (const path of paths) doubts.paths.add(path)
}

function removeDoubts(doubts: Doubts, { blobs = [], paths = [] }: Doubtful): void {
  for (const digest of blobs) doubts.blobs.delete(digest)
  for (const path of paths) doubts.paths.delete(path)
}

/** A failure is a miss: the caller gets the result of a catalog without the row. */
type Ask<Args extends readonly unknown[], Value> = {
  readonly policy: 'ask'
  readonly miss: () => Value
  /** Filters results while something is in doubt. */
  readonly believe: (value: Value, doubts: Doubts, args: Args) => Value
}

/** A failure is logged and ignored. */
type Tell<Args extends readonly unknown[]> = {
  readonly policy: 'tell'
  /** The rows that become invalid: in doubt after a failure, and no longer after a success. */
  readonly replaces: (...args: Args) => Doubtful
}

/** A failure is thrown. */
type Must = { readonly policy: 'must' }

/** What a method does when the database fails. A method with a result cannot use `tell`. */
export type Policy<Args extends readonly unknown[], Value> =
  | Must
  | ([Value] extends [void] ? Tell<Args> : Ask<Args, Value>)

/** A policy for each method of an interface; a method without one does not compile. */
export type Policies<Methods> = {
  readonly [Name in keyof Methods]: Methods[Name] extends (...args: infer Args) => Promise<infer Value>
    ? Policy<Args, Value>
    : Policies<Methods[Name]>
}

export const ask = <Args extends readonly unknown[], Value>(
  miss: () => NoInfer<Value>,
  believe: (value: NoInfer<Value>, doubts: Doubts, args: Args) => NoInfer<Value> = (value) => value,
): Ask<Args, Value> => ({ policy: 'ask', miss, believe })

export const tell = <Args extends readonly unknown[]>(
  replaces: (...args: Args) => Doubtful = () => ({}),
): Tell<Args> => ({ policy: 'tell', replaces })

export const must: Must = { policy: 'must' }

/** Runs work on the methods of a database that may fail. @throws STORE_UNAVAILABLE if it fails */
export type Run<Methods> = <T>(work: (methods: Methods) => Promise<T>) => Promise<T>

/** The same methods with the failure behaviour of their policies. `run` logs failures. */
export function withPolicies<Methods extends object>(
  policies: Policies<Methods>,
  run: Run<Methods>,
  doubts: Doubts,
): Methods {
  const methods = Object.entries<AnyPolicy | Policies<object>>(policies).map(([name, policy]) => {
    if (!isPolicy(policy)) {
      const runInside: Run<object> = (work) => run((all) => work((all as Record<string, object>)[name] ?? {}))
      return [name, withPolicies(policy, runInside, doubts)]
    }
    const call = (args: readonly unknown[]) =>
      run((all) => (all as Record<string, AnyMethod>)[name]?.(...args) as Promise<unknown>)
    return [name, methodOf(policy, call, doubts)]
  })
  // The table has every method, and `methodOf` keeps its type.
  return Object.fromEntries(methods) as Methods
}

type AnyPolicy = Must | Tell<readonly unknown[]> | Ask<readonly unknown[], unknown>
type AnyMethod = (...args: readonly unknown[]) => Promise<unknown>

const isPolicy = (entry: AnyPolicy | Policies<object>): entry is AnyPolicy => 'policy' in entry

function methodOf(
  policy: AnyPolicy,
  call: (args: readonly unknown[]) => Promise<unknown>,
  doubts: Doubts,
): AnyMethod {
  switch (policy.policy) {
    case 'must':
      return (...args) => call(args)
    case 'ask':
      return async (...args) => {
        let value: unknown
        try {
          value = await call(args)
        } catch {
          return policy.miss()
        }
        return countDoubts(doubts) > 0 ? policy.believe(value, doubts, args) : value
      }
    case 'tell':
      return async (...args) => {
        try {
          await call(args)
        } catch {
          addDoubts(doubts, policy.replaces(...args))
          return
        }
        if (countDoubts(doubts) > 0) removeDoubts(doubts, policy.replaces(...args))
      }
  }
}
