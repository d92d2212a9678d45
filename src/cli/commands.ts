import type { Command, CommandGroup } from './command.ts'
import { configCommands } from './commands/config.ts'
import { statusCommand } from './commands/status.ts'
import { versionCommand } from './commands/version.ts'

/** Every command, in the order in which help shows them. */
export const commands: readonly (Command | CommandGroup)[] = [statusCommand, configCommands, versionCommand]
