import type { LoadedConfig } from '../config/load.ts'
import type { CommandContext } from './command.ts'

/** The configuration the command line asks for; loads the schema only when a command needs it. */
export async function loadContextConfig(context: CommandContext): Promise<LoadedConfig> {
  const { loadConfig } = await import('../config/load.ts')
  return await loadConfig({
    named: context.configPath,
    environment: context.environment,
    directory: context.workingDirectory,
  })
}
