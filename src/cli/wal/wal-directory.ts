import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { prepareWalDirectory } from '../../archive/command/wal-service.ts'
import { walScript, walScriptName } from '../../archive/command/wal-script.ts'
import type { LoadedConfig } from '../../config/load.ts'
import { writeFileDurably } from '../../std/durable-file.ts'
import type { CommandContext } from '../command.ts'

/** Where the script for PostgreSQL and the process that serves it meet. */
export function walDirectory({ config }: Pick<LoadedConfig, 'config'>): string {
  return join(config.node.stateDirectory, 'wal')
}

/** Writes the script for this installation and this configuration; gives its path. */
export async function writeWalScript(loaded: LoadedConfig, { program }: CommandContext): Promise<string> {
  const directory = walDirectory(loaded)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await prepareWalDirectory(directory)
  const path = join(directory, walScriptName)
  const content = walScript({ directory, node: process.execPath, program, configFile: loaded.file })
  await writeFileDurably(path, content, { mode: 0o700 })
  return path
}
