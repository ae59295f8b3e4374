import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hash as bcryptHash } from 'bcryptjs'
import { hasCode } from '../errors.ts'
import { createVerifyPassword } from './passwords.ts'

describe('passwords', async () => {
  const hash = (await bcryptHash('open sesame', 4)).replace(/^\$2b/, '$2y') // as htpasswd -B writes it

  it('distinguishes right from wrong passwords, and treats an invalid hash as one that nothing matches', async () => {
    const verify = createVerifyPassword()
    assert.equal(await verify(hash, 'open sesame'), true)
    assert.equal(await verify(hash, 'open sesame '), false)
    assert.equal(await verify(hash, ''), false)
    assert.equal(await verify('$apr1$x$y', 'open sesame'), false)
    assert.equal(await verify(hash, 'x'.repeat(10_000)), false)
  })

  it('caches a right password for its hash only', async () => {
    const costly = await bcryptHash('open sesame', 10)
    const verify = createVerifyPassword({ mostWaiting: 2 })
    assert.equal(await verify(costly, 'open sesame'), true)
    const blocker = verify(costly, 'wrong') // occupies a slot
    const started = performance.now()
    for (let n = 0; n < 1000; n++) assert.equal(await verify(costly, 'open sesame'), true)
    assert.ok(performance.now() - started < 1000 * 20, 'a check takes at least 50 ms')
    assert.equal(await verify(await bcryptHash('another', 4), 'open sesame'), false)
    assert.equal(await blocker, false)
  })

  it('checks a few at once, queues some, and rejects the others, without blocking the event loop', async () => {
    const costly = await bcryptHash('open sesame', 10)
    const verify = createVerifyPassword({ atOnce: 1, mostWaiting: 3 })
    let turns = 0
    const turning = setInterval(() => (turns += 1), 1)
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, n) => verify(costly, `wrong ${n}`)),
    )
    clearInterval(turning)
    const refused = results.filter(
      (result) => result.status === 'rejected' && hasCode(result.reason, 'OVERLOADED'),
    )
    assert.equal(refused.length, 96)
    assert.equal(results.filter((result) => result.status === 'fulfilled' && !result.value).length, 4)
    assert.ok(turns > 3, 'timers run while passwords are checked')
  })

  it('leaves places to others if one address sends many wrong passwords', async () => {
    const verify = createVerifyPassword({ atOnce: 1, mostWaiting: 8, mostForAddress: 2 })
    const wrong = Array.from({ length: 20 }, (_, n) => verify(hash, `wrong ${n}`, '192.0.2.1'))
    const other = verify(hash, 'open sesame', '192.0.2.2')
    const results = await Promise.allSettled(wrong)
    assert.equal(results.filter(({ status }) => status === 'rejected').length, 18)
    assert.equal(await other, true)
    assert.equal(await verify(hash, 'wrong', '192.0.2.1'), false, 'after the others')
  })

  it('checks the first password of an address before further ones of another', async () => {
    const verify = createVerifyPassword({ atOnce: 1 })
    const order: string[] = []
    const check = (password: string, from: string) =>
      verify(hash, password, from).then(() => void order.push(password))
    const [first, ...others] = ['a', 'b', 'c', 'd', 'e'].map((password) => check(password, '192.0.2.1'))
    await first
    await Promise.all([check('open sesame', '192.0.2.2'), ...others])
    assert.deepEqual(order, ['a', 'b', 'open sesame', 'c', 'd', 'e'])
  })

  it('checks equal concurrent passwords once', async () => {
    const verify = createVerifyPassword({ atOnce: 1, mostWaiting: 1 })
    const answers = await Promise.all(Array.from({ length: 50 }, () => verify(hash, 'open sesame')))
    assert.ok(answers.every(Boolean))
  })
})
