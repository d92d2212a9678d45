import { archiveCommand, restoreCommand } from '../../archive/command/wal-script.ts'
import type { LoadedConfig } from '../../config/load.ts'
import { quoteConfValue } from '../../postgres/core/quoting.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository } from '../open-configured.ts'
import { writeWalScript } from './wal-directory.ts'

/** Writes the script and prints the lines for postgresql.conf. */
export async function runWalCommand(loaded: LoadedConfig, context: CommandContext): Promise<void> {
  const { name } = chooseRepository(loaded.config, undefined)
  const script = await writeWalScript(loaded, context)
  const settings = { archive_command: archiveCommand(script), restore_command: restoreCommand(script) }
  if (context.json) context.output.printJson({ script, repository: name, ...settings })
  else {
    const lines = Object.entries({ archive_mode: 'on', ...settings })
    context.output.print(lines.map(([setting, value]) => `${setting} = ${quoteConfValue(value)}`).join('\n'))
  }
}
