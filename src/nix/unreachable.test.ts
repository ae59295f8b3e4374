import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { unreachable } from './unreachable.ts'

describe('the failure of a fetch', () => {
  const hintOf = (line: string) => unreachable({ timedOut: false, lines: [line] }).hint

  it('asks for patience if the server may recover', () => {
    assert.match(
      hintOf("error: unable to download 'https://example.org/': HTTP error 502") ?? '',
      /try again/,
    )
  })

  it('asks for another reference if there is no flake', () => {
    for (const line of [
      'error: could not find a flake.nix file',
      "error: source tree referenced by 'git+file:///srv/set' does not contain a '/flake.nix' file",
    ])
      assert.match(hintOf(line) ?? '', /NIXERY_FLAKE/)
  })
})
