import { hasCode } from '../errors.ts'
import { registryHost, unknownHost } from './host.ts'

/** The build that each failure belongs to, as long as the failure is remembered. */
export type BuildLinks = {
  note(build: string, error: unknown): void
  /**
   * The URL of the page with the log of a failed build; undefined for a failure without one.
   * @param host the client's Host header, as sent
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

/** The URL of a build's page, for a client that sent this Host header; without a host if the header is not usable. */
export function addressOfBuild(build: string, header: string | undefined, secure: boolean): string {
  const host = registryHost(header)
  const path = `/builds/${build}`
  if (host === unknownHost) return `${path} of this registry`
  return secure ? `https://${host.replace(/:80$/, '')}${path}` : `http://${host}${path}`
}
