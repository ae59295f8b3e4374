import assert from 'node:assert/strict'
import { it } from 'node:test'
import { hasCode } from '../errors.ts'
import { urgencies, type Urgency } from '../queue/demand.ts'
import { createBuildQueue } from './queue.ts'

const demandOf = (urgency: () => Urgency) => ({ urgency, signal: new AbortController().signal })

it('counts waiting builds by their present urgency', () => {
  const queue = createBuildQueue(2)
  let urgency: Urgency = urgencies.waiting
  const changing = queue.place(demandOf(() => urgency))
  const background = queue.place(demandOf(() => urgencies.background))
  changing.enter()
  changing.enter()
  background.enter()
  assert.deepEqual(queue.byUrgency(), { background: 1, expected: 0, waiting: 1 })
  urgency = urgencies.expected
  assert.deepEqual(queue.byUrgency(), { background: 1, expected: 1, waiting: 0 })
  const third = queue.place(demandOf(() => urgencies.waiting))
  assert.throws(third.enter, (error) => hasCode(error, 'OVERLOADED'))
  changing.begin()
  background.leave()
  changing.leave()
  assert.deepEqual([queue.size, queue.byUrgency()], [0, { background: 0, expected: 0, waiting: 0 }])
})
