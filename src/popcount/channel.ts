import { NixeryError } from '../errors.ts'
import { maxRedirects } from '../net/redirect.ts'
import { below, shown, type Get } from './get.ts'

/** What a channel points to at this moment. */
export type Release = {
  /** The folder of its files. */
  readonly url: URL
  /** The commit of nixpkgs that it was made from, in hex. */
  readonly commit: string
}

const channelName = /^[0-9A-Za-z][0-9A-Za-z._-]{0,99}$/
const commitPattern = /^[0-9a-f]{40}([0-9a-f]{24})?$/

/**
 * Finds a channel's release. The redirect is followed here, and all files are then read from where it leads, since
 * the channel itself may move on between two of them.
 * @throws CONFIG_INVALID for what cannot be a channel's name, SOURCE_INVALID when there is no such channel or no
 * answer, the signal's reason
 */
export async function findRelease(
  get: Get,
  site: URL,
  channel: string,
  signal: AbortSignal | undefined,
): Promise<Release> {
  if (!channelName.test(channel)) {
    throw new NixeryError('CONFIG_INVALID', `not the name of a channel: ${JSON.stringify(channel)}`)
  }
  const url = await releaseOf(get, below(site, channel), signal)
  const revision = below(url, 'git-revision')
  const { status, body } = await get(revision, { limit: 4096, signal })
  const commit = body.toString('latin1').trim()
  if (status === 200 && commitPattern.test(commit)) return { url, commit }
  const reason = status === 200 ? 'it is not a commit' : `it answers ${status}`
  throw new NixeryError('SOURCE_INVALID', `cannot use ${shown(revision)}: ${reason}`)
}

async function releaseOf(get: Get, channel: URL, signal: AbortSignal | undefined): Promise<URL> {
  let url = channel
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const { status, location } = await get(url, { limit: 65_536, redirect: 'manual', signal })
    // Mirrors serve the release's files under the channel's own name.
    if (status === 200) return url
    if (status < 300 || status > 399 || location === undefined || !URL.canParse(location, url.href)) {
      throw new NixeryError('SOURCE_INVALID', `there is no channel at ${shown(url)}: it answers ${status}`, {
        hint: 'channels have names such as nixos-unstable and nixpkgs-unstable',
      })
    }
    const target = new URL(location, url)
    // Still the channel, elsewhere: nixos.org/channels/X leads to channels.nixos.org/X, and that to a release.
    if (lastPart(target) !== lastPart(url)) return target
    url = target
  }
  throw new NixeryError('SOURCE_INVALID', `${shown(channel)} redirects more than ${maxRedirects} times`)
}

const lastPart = ({ pathname }: URL): string | undefined =>
  pathname.split('/').findLast((part) => part !== '')
