import type { Nix, Watch } from './nix.ts'

/**
 * Stops all Nix work on shutdown. Normally a build that has started to realise continues for later requests; on shutdown,
 * neither processes nor garbage collector roots may be left behind.
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
    store: nix.store,
    evaluate: (lookUp, watch) => tracked(nix.evaluate(lookUp, both(watch))),
    listVersions: (set, watch, details) => tracked(nix.listVersions(set, both(watch), details)),
    commitLog: (folder, range, watch) => tracked(nix.commitLog(folder, range, both(watch))),
    evaluateImage: (lookUp, watch) => tracked(nix.evaluateImage(lookUp, both(watch))),
    withRealised: (wanted, watch, use) => tracked(nix.withRealised(wanted, both(watch), use)),
    closureFacts: (paths, watch) => tracked(nix.closureFacts(paths, both(watch))),
    fetchSources: (sources, rootOf, watch) => tracked(nix.fetchSources(sources, rootOf, both(watch))),
    lockFlake: (reference, rootOf, watch) => tracked(nix.lockFlake(reference, rootOf, both(watch))),
    remoteRefs: (url, narrow, watch) => tracked(nix.remoteRefs(url, narrow, both(watch))),
    updateMirror: (mirror, watch) => tracked(nix.updateMirror(mirror, both(watch))),
    tidyMirror: (folder, watch) => tracked(nix.tidyMirror(folder, both(watch))),
    mirrorRefs: (folder, watch) => tracked(nix.mirrorRefs(folder, both(watch))),
    refsReaching: (folder, commit, watch) => tracked(nix.refsReaching(folder, commit, both(watch))),
    commitTime: (folder, commit, watch) => tracked(nix.commitTime(folder, commit, both(watch))),
    forget: (revision) => nix.forget(revision),
    evaluators: () => nix.evaluators(),
    settle: () => nix.settle(),
    caches: () => nix.caches(),
    systemFeatures: () => nix.systemFeatures(),
    version: () => nix.version(),
    close: () => nix.close(),
    settled: () => Promise.allSettled(running),
  }
}
