import type { Action, Subject } from '../access/may.ts'
import type { Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'

/** What answers at a path, and what a client must be allowed to do there. */
export type TableRoute = {
  readonly action: Action
  readonly subject: Subject
  reply(request: HttpRequest): Reply | Promise<Reply>
}

/** Finds the route of a path; undefined where another table may have one. */
export type RouteTable = (path: string) => TableRoute | undefined
