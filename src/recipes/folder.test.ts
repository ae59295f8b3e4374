import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { amd64 } from '../image/platform.ts'
import { parseImageName } from '../image/name.ts'
import { openFolder } from './folder.ts'
import { createOperatorBook } from './operator-book.ts'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'nixery-recipes-'))
})
after(() => rmSync(folder, { recursive: true }))
const write = (name: string, text: string) => writeFileSync(join(folder, name), text)

const set = { folder: '/' }
const place = { platform: amd64, pinned: { set, revision: 'r', unchanged: async () => true } }
const bookOf = (bare = false) => createOperatorBook({ folder: openFolder(folder), set: undefined, bare })
const messageOf = async (name: string, book = bookOf()) => {
  const error = await book.find(name, place).then(
    () => undefined,
    (reason: Error) => reason,
  )
  return error?.message
}

describe('a folder of recipes', () => {
  it('returns each recipe by name; a broken one is reported, and the others work', async () => {
    write('web.toml', 'include = ["base"]\nworkdir = "/srv"\n')
    write('base.json', '{ "packages": ["nginx"] }')
    write('broken.toml', 'packages = ["nginx"]\nuser = 3\n')
    write('notes.txt', 'not a recipe')
    assert.deepEqual((await bookOf().find('web', place)).recipe, { packages: ['nginx'], workdir: '/srv' })
    assert.equal(await messageOf('broken'), 'broken.toml:2:1: recipe broken: user: must be a text in quotes')
    assert.equal(await messageOf('other'), 'there is no recipe other')
  })

  it('reports pipes, devices and folders in place of recipes, and does not wait for them', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.toml')])
    symlinkSync('/dev/zero', join(folder, 'device.toml'))
    mkdirSync(join(folder, 'directory.toml'))
    for (const name of ['pipe', 'device', 'directory'])
      assert.match((await messageOf(name)) ?? '', /is not a file, or a link to one$/)
    for (const name of ['pipe', 'device', 'directory'])
      rmSync(join(folder, `${name}.toml`), { recursive: true })
  })

  it('reports inconsistencies with the position in the file of the wrong recipe', async () => {
    write('user.toml', 'packages = ["nginx"]\nuser = "app"\n')
    assert.match(
      (await messageOf('user')) ?? '',
      /^user\.toml:2:1: recipe user: user: there is no account app/,
    )
    write('lost.toml', 'packages = ["nginx"]\n\ninclude = ["nowhere"]\n')
    assert.match(
      (await messageOf('lost')) ?? '',
      /^lost\.toml:3:1: recipe lost: include: there is no recipe nowhere/,
    )
  })

  it('copies files and directories from the folder of the recipe, and from nowhere else', async () => {
    mkdirSync(join(folder, 'site/css'), { recursive: true })
    write('site/index.html', '<h1>')
    write('site/css/a.css', '')
    writeFileSync(join(folder, 'site/run'), Buffer.from([255]), { mode: 0o755 })
    write('site.toml', '[[files]]\npath = "/srv"\nsource = "site"\nuid = 33\ngid = 33\n')
    const owner = { uid: 33, gid: 33 }
    assert.deepEqual((await bookOf().find('site', place)).recipe.files, [
      { path: '/srv', directory: true, mode: '0755', ...owner },
      { path: '/srv/css', directory: true, mode: '0755', ...owner },
      { path: '/srv/css/a.css', text: '', mode: '0644', ...owner },
      { path: '/srv/index.html', text: '<h1>', mode: '0644', ...owner },
      { path: '/srv/run', base64: '/w==', mode: '0755', ...owner },
    ])
    write('out.toml', '[[files]]\npath = "/x"\nsource = "../../etc/passwd"\n')
    assert.match(
      (await messageOf('out')) ?? '',
      /^out\.toml: .*files\[0\]\.source: .*(outside of the folder|does not exist)/,
    )
    execFileSync('mkfifo', [join(folder, 'pipe')])
    write('fifo.toml', '[[files]]\npath = "/x"\nsource = "pipe"\n')
    assert.match((await messageOf('fifo')) ?? '', /pipe is a device, socket or pipe/)
  })

  it('is reloaded when a recipe or a file that it copies changes', async () => {
    const read = openFolder(folder)
    const first = await read.look()
    const soon = async (condition: (state: string) => boolean) => {
      for (;;) {
        const { state } = await read.look()
        if (condition(state)) return state
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    write('web.toml', 'packages = ["nginx", "git"]\n')
    const second = await soon((state) => state !== first.state)
    write('site/index.html', '<h1>other')
    const third = await soon((state) => state !== second)
    rmSync(join(folder, 'web.toml'))
    await soon((state) => state !== third)
    assert.equal((await read.look()).entries.has('web'), false)
  })

  it('rejects names with another meaning, and two files with the same name', async () => {
    for (const name of ['shell', 'arm64', 'Big', 'a.b']) {
      write(`${name}.toml`, '')
      const { entries } = await openFolder(folder).look()
      assert.ok('problems' in (entries.get(name) ?? {}), name)
      rmSync(join(folder, `${name}.toml`))
    }
    write('base.toml', 'packages = ["git"]')
    assert.match(
      (await messageOf('base')) ?? '',
      /base\.json is a recipe of the same name: remove one of them/,
    )
    rmSync(join(folder, 'base.toml'))
  })

  it('has names without `recipe/` if the operator enables them', async () => {
    const request = parseImageName('base/git')
    assert.deepEqual(await bookOf().bareNames(request, place), [])
    assert.deepEqual(await bookOf(true).bareNames(request, place), ['base'])
    assert.equal(bookOf().current(request), '')
    assert.equal(bookOf(true).current(request), undefined)
  })
})
