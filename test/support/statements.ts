import Database from 'better-sqlite3'

type Method = (this: Database.Database, text: string, options?: object) => unknown

/** Runs `call` before every statement of every SQLite database in this process, until the returned function is called. */
export function beforeStatements(call: () => void): () => void {
  const { prototype } = Database as unknown as { prototype: Record<'prepare' | 'pragma', Method> }
  const { prepare, pragma } = prototype
  const calling = (work: Method): Method =>
    function (text, options) {
      call()
      return work.call(this, text, options)
    }
  Object.assign(prototype, { prepare: calling(prepare), pragma: calling(pragma) })
  return () => void Object.assign(prototype, { prepare, pragma })
}
