import { join } from 'node:path'
import { copierProcess } from '../../backup/offsite/copier-process.ts'
import type { Config } from '../../config/schema.ts'
import type { CommandContext } from '../command.ts'
import { chooseCopies, openConfiguredRoute } from '../open-configured.ts'

/** The copier of one copy as its own process. */
export async function runCopierCommand(
  config: Config,
  { clock }: CommandContext,
  name: string | undefined,
): Promise<void> {
  const [copy] = chooseCopies(config, name)
  if (copy === undefined) return
  await copierProcess(
    {
      open: (signal) => openConfiguredRoute(config, copy, { clock, signal }),
      cluster: config.cluster,
      bytesPerSecond: copy.bandwidth?.bytes,
      clock,
      memoryFile: join(config.node.stateDirectory, 'copies', copy.name),
    },
    { input: process.stdin, output: process.stdout },
  )
}
