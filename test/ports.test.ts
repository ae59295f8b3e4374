import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { freePort } from './support/ports.ts'

describe('ports of servers that tests start', () => {
  it('are different, not in use, and none that the kernel gives to others by default', async () => {
    const ports: number[] = []
    for (let count = 0; count < 20; count += 1) ports.push(await freePort())
    assert.ok(Math.max(...ports) < 32_768, ports.join(' '))
    assert.equal(new Set(ports).size, ports.length)

    const next = (ports.at(-1) ?? 0) + 1
    const server = createServer().once('error', () => {}) // then it is in use already
    server.listen(next, '127.0.0.1')
    assert.notEqual(await freePort(), next)
    server.close()
  })
})
