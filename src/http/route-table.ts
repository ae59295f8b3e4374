import type { Action, Subject } from '../access/may.ts'
import type { Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'

/** The handler of a path, and the permission that it needs. */
export type TableRoute = {
  readonly action: Action
  readonly subject: Subject
  reply(request: HttpRequest): Reply | Promise<Reply>
}

/** Finds the route of a path; undefined if another table may have it. */
export type RouteTable = (path: string) => TableRoute | undefined
