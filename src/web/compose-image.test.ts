import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Composed } from './compose.ts'
import { imageSection } from './compose-image.ts'
import { snippets } from './snippets.ts'

const composed = (use: string, program: string): Composed => ({
  composition: {
    set: undefined,
    platform: undefined,
    recipes: [],
    packages: ['tool'],
    have: [],
    query: '',
    offset: 0,
    use,
  },
  sets: [undefined],
  platforms: [],
  found: undefined,
  hasSearch: true,
  choices: [
    {
      written: 'tool',
      name: 'tool',
      version: undefined,
      versions: [],
      entry: {
        name: 'tool',
        attribute: 'tool',
        pname: 'tool',
        version: '1',
        description: undefined,
        homepage: undefined,
        license: undefined,
        programs: [program],
      },
    },
  ],
  name: 'tool',
  problem: undefined,
  estimate: undefined,
  layers: undefined,
})

describe('the commands to run an image', () => {
  it('contain a program name only if it needs no quotes in shells and YAML', async () => {
    const shown = async (use: string, program: string) =>
      (await imageSection(composed(use, program), 'registry.example')).toString()
    assert.match(await shown('docker', 'g++-14'), /registry\.example\/tool g\+\+-14</)
    for (const { id } of snippets) {
      for (const program of [
        'reboot;x',
        '$(reboot)',
        'a reboot',
        '`reboot`',
        '-reboot',
        "'reboot",
        '#reboot',
        'a:\nreboot',
      ])
        assert.doesNotMatch(await shown(id, program), /reboot/, `${id}: ${program}`)
    }
  })
})
