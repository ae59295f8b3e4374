import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { amd64, arm64, type Platform } from '../image/platform.ts'
import { readAssets } from './assets.ts'
import { createHistory, type BuildRecord } from './history.ts'
import { homePage } from './home.ts'
import { documentOf } from './layout.ts'

const assets = readAssets()

/** The page's text on one line. */
function textFor(defaults: readonly Platform[], builds?: readonly BuildRecord[]): string {
  const described = [{ source: 'a folder', revision: undefined }]
  const home = { host: 'host', described, defaults, builds, now: 0 }
  const frame = { assets, version: '1', composes: true, searches: true }
  return documentOf(frame, homePage(frame, home))
    .replace(/<[^>]*>/g, '')
    .replace(/\s+/g, ' ')
}

describe('the page', () => {
  it('shows the platforms of a name without one', () => {
    assert.match(textFor([amd64]), /A name without a platform is for amd64 only, .* write arm64 first\./)
    assert.match(textFor([arm64]), /A name without a platform is for arm64 only, .* write amd64 first\./)
    assert.match(
      textFor([amd64, arm64]),
      /A name without a platform is for amd64 and arm64: each machine gets the image for its own platform\./,
    )
  })

  it('shows the platform of each build if one name has several', () => {
    const history = createHistory({ builds: 2, linesPerBuild: 1, now: () => 0 })
    for (const platform of ['amd64', 'arm64'])
      history.listener(platform, { type: 'started', image: 'shell/git', platform })
    const rows = (defaults: readonly Platform[]) =>
      textFor(defaults, history.recent()).match(/shell\/git (?:a\w+64 )?running/g)
    assert.deepEqual(rows([amd64, arm64]), ['shell/git arm64 running', 'shell/git amd64 running'])
    assert.deepEqual(rows([amd64]), ['shell/git running', 'shell/git running'])
  })

  it('shows what meta-packages add', () => {
    const text = textFor([amd64])
    assert.match(text, /shell bashInteractive, coreutils, moreutils, nano; bash is the default command/)
    assert.match(text, /ci tools for CI jobs: shell, and gnutar, .* openssh, curl, jq/)
    assert.match(text, /gtk__plus__3 is gtk\+3/)
  })
})
