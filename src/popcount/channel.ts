import { NixeryError } from '../errors.ts'
import { maxRedirects } from '../net/redirect.ts'
import { below, shown, type Get } from './get.ts'

/** The current release of a channel. */
export type Release = {
  /** The URL of the folder with its files. */
  readonly url: URL
  /** The nixpkgs commit of the release, in hex. */
  readonly commit: string
}

const channelName = /^[0-9A-Za-z][0-9A-Za-z._-]{0,99}$/
const commitPattern = /^[0-9a-f]{40}([0-9a-f]{24})?$/

/**
 * Finds the current release of a channel. The redirect is resolved once, and all files are read from its target, since
 * the channel may advance between two requests.
 * @throws CONFIG_INVALID for an invalid channel name, SOURCE_INVALID if the channel does not exist or does not respond,
 * the signal's reason
 */
export async function findRelease(
  get: Get,
  site: URL,
  channel: string,
  signal: AbortSignal | undefined,
): Promise<Release> {
  if (!channelName.test(channel)) {
    throw new NixeryError('CONFIG_INVALID', `not a valid channel name: ${JSON.stringify(channel)}`)
  }
  const url = await releaseOf(get, below(site, channel), signal)
  const revision = below(url, 'git-revision')
  const { status, body } = await get(revision, { limit: 4096, signal })
  const commit = body.toString('latin1').trim()
  if (status === 200 && commitPattern.test(commit)) return { url, commit }
  const reason = status === 200 ? 'it is not a commit' : `the server responded with ${status}`
  throw new NixeryError('SOURCE_INVALID', `cannot use ${shown(revision)}: ${reason}`)
}

async function releaseOf(get: Get, channel: URL, signal: AbortSignal | undefined): Promise<URL> {
  let url = channel
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const { status, location } = await get(url, { limit: 65_536, redirect: 'manual', signal })
    // Mirrors serve the files of the release under the channel's name.
    if (status === 200) return url
    if (status < 300 || status > 399 || location === undefined || !URL.canParse(location, url.href)) {
      throw new NixeryError(
        'SOURCE_INVALID',
        `no channel found at ${shown(url)}: the server responded with ${status}`,
        {
          hint: 'examples of channel names are nixos-unstable and nixpkgs-unstable',
        },
      )
    }
    const target = new URL(location, url)
    // Still the channel, on another host: nixos.org/channels/X redirects to channels.nixos.org/X, then to a release.
    if (lastPart(target) !== lastPart(url)) return target
    url = target
  }
  throw new NixeryError('SOURCE_INVALID', `${shown(channel)} redirects more than ${maxRedirects} times`)
}

const lastPart = ({ pathname }: URL): string | undefined =>
  pathname.split('/').findLast((part) => part !== '')
