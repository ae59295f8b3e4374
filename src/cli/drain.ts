import { openRegister } from '../fleet/overview.ts'
import { NixeryError } from '../errors.ts'
import { defineCommand } from './command.ts'
import { withDatabase } from './fleet.ts'

export const setUp = defineCommand<{ undo?: true }, [processes: string[]]>({
  usesFolders: false,
  declare: (command) =>
    command
      .argument('<processes...>', 'processes or hosts, as shown by `nixery status`')
      .option('--undo', 'make them take work again'),
  async run(context, { undo }, wanted) {
    const draining = undo !== true
    const found = await withDatabase(context.config(), async (postgres) => {
      const register = await openRegister(postgres)
      const all = await register.list()
      const matching = wanted.map((name) => {
        const some = all.filter(({ id, host }) => host === name || (name.length >= 4 && id.startsWith(name)))
        if (some.length === 0) {
          throw new NixeryError('CONFIG_INVALID', `there is no process or host ${JSON.stringify(name)}`, {
            hint: '`nixery status` shows all processes',
          })
        }
        return some
      })
      const each = [...new Map(matching.flat().map((replica) => [replica.id, replica])).values()]
      await register.drain(
        each.map(({ id }) => id),
        draining,
      )
      return each
    })
    const shown = found.map(({ id, host, role }) => ({ id, host, role, draining }))
    context.print(shown, shown.map(({ id, host, role }) => `${id.slice(0, 8)}  ${host}  ${role}`).join('\n'))
    const what = draining ? 'no more work from now on; running builds are completed' : 'work again'
    context.progress.done(
      `${found.length === 1 ? 'one process takes' : `${found.length} processes take`} ${what}`,
    )
  },
})
