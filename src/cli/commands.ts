import type { Command, CommandGroup } from './command.ts'
import { agentCommand } from './commands/agent.ts'
import { archiverCommand } from './commands/archiver.ts'
import { backupCommand } from './commands/backup.ts'
import { backupsCommand } from './commands/backups.ts'
import { checkCommand } from './commands/check.ts'
import { configCommands } from './commands/config.ts'
import { demoCommand } from './commands/demo.ts'
import { copierCommand } from './commands/copier.ts'
import { copyCommand } from './commands/copy.ts'
import { dumpCommand } from './commands/dump.ts'
import { dumpsCommand } from './commands/dumps.ts'
import { keysCommands } from './commands/keys.ts'
import { loadCommand } from './commands/load.ts'
import { expireCommand } from './commands/expire.ts'
import { holdCommand } from './commands/hold.ts'
import { restoreCommand } from './commands/restore.ts'
import { scheduleCommands } from './commands/schedule.ts'
import { statusCommand } from './commands/status.ts'
import { storeCommands } from './commands/store.ts'
import { switchoverCommand } from './commands/switchover.ts'
import { verifyCommand } from './commands/verify.ts'
import { versionCommand } from './commands/version.ts'
import { walCommands } from './commands/wal.ts'

/** Every command, in the order in which help shows them. */
export const commands: readonly (Command | CommandGroup)[] = [
  demoCommand,
  agentCommand,
  statusCommand,
  switchoverCommand,
  backupCommand,
  backupsCommand,
  holdCommand,
  expireCommand,
  copyCommand,
  scheduleCommands,
  restoreCommand,
  verifyCommand,
  dumpCommand,
  dumpsCommand,
  loadCommand,
  keysCommands,
  walCommands,
  storeCommands,
  checkCommand,
  configCommands,
  versionCommand,
  archiverCommand,
  copierCommand,
]
