import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { runWalService } from '../../archive/command/wal-service.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openOrCreateRepository } from '../open-configured.ts'
import { walDirectory, writeWalScript } from './wal-directory.ts'

const idleMs = 60_000
const mostThreads = 4

/** Serves the script's requests until nobody has asked for a minute. */
export async function runWalServe(loaded: LoadedConfig, context: CommandContext): Promise<void> {
  const { clock, signal } = context
  await using opened = await openOrCreateRepository(chooseRepository(loaded.config, undefined), { clock, signal })
  // A newer version, or one in another place, has come to serve.
  await writeWalScript(loaded, context)
  await runWalService({
    repository: opened.repository,
    cluster: loaded.config.cluster,
    directory: walDirectory(loaded),
    threads: Math.min(mostThreads, availableParallelism()),
    idleMs,
    clock,
    signal,
  })
}

/**
 * Has the service started by whoever had to do without it. It is nobody's child: PostgreSQL ends what it runs, and the
 * service is to be there for the next file. If one is there already the new one ends.
 */
export function startWalService({ file }: LoadedConfig, { program, environment }: CommandContext): void {
  const args = [program, 'wal', 'serve', '--config', file]
  const child = spawn(process.execPath, args, { env: environment, stdio: 'ignore', detached: true, cwd: '/' })
  // It is only to be faster; the file at hand is done without it.
  child.on('error', () => undefined)
  child.unref()
}
