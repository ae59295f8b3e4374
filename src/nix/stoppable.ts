import type { Nix, Watch } from './nix.ts'

/**
 * Nix that ends when the program is to end. A build goes on for whoever asks later once it has begun to realise; but
 * a program that ends leaves neither processes nor garbage collector roots.
 */
export function stoppable(nix: Nix, stop: AbortSignal): Nix & { settled(): Promise<unknown> } {
  const running = new Set<Promise<unknown>>()
  const tracked = <T>(work: Promise<T>): Promise<T> => {
    const done = work.finally(() => running.delete(done))
    running.add(done)
    return done
  }
  const both = (watch: Watch): Watch => ({
    ...watch,
    signal: watch.signal ? AbortSignal.any([watch.signal, stop]) : stop,
  })
  return {
    evaluate: (lookUp, watch) => tracked(nix.evaluate(lookUp, both(watch))),
    withRealised: (wanted, watch, use) => tracked(nix.withRealised(wanted, both(watch), use)),
    closureFacts: (paths, watch) => tracked(nix.closureFacts(paths, both(watch))),
    fetchSources: (sources, root, watch) => tracked(nix.fetchSources(sources, root, both(watch))),
    remoteRefs: (url, patterns, watch) => tracked(nix.remoteRefs(url, patterns, both(watch))),
    lockFlake: (reference, watch) => tracked(nix.lockFlake(reference, both(watch))),
    forget: (revision) => nix.forget(revision),
    evaluators: () => nix.evaluators(),
    settle: () => nix.settle(),
    version: () => nix.version(),
    close: () => nix.close(),
    settled: () => Promise.allSettled(running),
  }
}
