import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { folderObjects } from './folder-objects.ts'
import { describeObjects } from './objects-conformance.ts'
import { ofBlobs } from './store.ts'

const folders: string[] = []
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

describeObjects('objects in a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-folder-'))
  folders.push(folder)
  return folderObjects(join(folder, 'new'), ofBlobs)
})
