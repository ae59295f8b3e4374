import { hasCode } from '../errors.ts'
import { registryHost, unknownHost } from './host.ts'

/** Which build a failure is of, for as long as the failure is remembered. */
export type BuildLinks = {
  note(build: string, error: unknown): void
  /**
   * The address of the page that has the log of a build that failed; undefined for a failure without one.
   * @param host the client's Host header, as it was sent
   */
  pageOf(error: unknown, host: string | undefined, secure: boolean): string | undefined
}

export function createBuildLinks(): BuildLinks {
  const builds = new WeakMap<object, string>()
  return {
    note(build, error) {
      if (typeof error === 'object' && error !== null) builds.set(error, build)
    },
    pageOf(error, host, secure) {
      const build = hasCode(error, 'BUILD_FAILED', 'BUILD_TIMEOUT') ? builds.get(error) : undefined
      return build === undefined ? undefined : addressOfBuild(build, host, secure)
    },
  }
}

/**
 * Where a build can be watched, for a client that came by this Host header; without a host if the header is of no use.
 */
export function addressOfBuild(build: string, header: string | undefined, secure: boolean): string {
  const host = registryHost(header)
  const path = `/builds/${build}`
  if (host === unknownHost) return `${path} of this registry`
  return secure ? `https://${host.replace(/:80$/, '')}${path}` : `http://${host}${path}`
}
