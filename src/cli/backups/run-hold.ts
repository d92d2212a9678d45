import type { Config } from '../../config/schema.ts'
import { holdBackup, releaseBackup } from '../../repository/holds.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'

const sentences = {
  held: 'is held until it is released',
  already: 'was held before',
  released: 'is released',
  free: 'was not held',
} as const

/** Holds or releases a backup and says which it did. */
export async function runHold(
  config: Config,
  context: CommandContext,
  options: {
    readonly backup: string
    readonly repository: string | undefined
    readonly reason: string | undefined
    readonly release: boolean
  },
): Promise<'ok'> {
  const { clock, signal, output, json } = context
  const { backup, reason = '', release } = options
  const { cluster } = config
  await using opened = await openConfiguredRepository(chooseRepository(config, options.repository), context)
  const outcome = release
    ? await releaseBackup(opened.repository, { cluster, backup }, { signal })
    : await holdBackup(opened.repository, { cluster, backup, reason }, { signal, clock })
  if (json) output.printJson({ repository: opened.name, backup, outcome })
  else output.print(`backup ${backup} in repository ${opened.name} ${sentences[outcome]}`)
  return 'ok'
}
