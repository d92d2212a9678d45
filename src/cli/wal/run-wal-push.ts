import { dirname, resolve } from 'node:path'
import { pushWalFile } from '../../archive/command/push-file.ts'
import type { LoadedConfig } from '../../config/load.ts'
import { isDataDirectory } from '../../postgres/data-directory.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openOrCreateRepository } from '../open-configured.ts'
import { startWalService } from './run-wal-serve.ts'

/** Stores one file; silent when all is well, since PostgreSQL logs whatever it says. */
export async function runWalPush(
  loaded: LoadedConfig,
  context: CommandContext,
  request: { readonly path: string; readonly service: boolean },
): Promise<void> {
  const { clock, signal, workingDirectory, output } = context
  if (request.service) startWalService(loaded, context)
  const path = resolve(workingDirectory, request.path)
  await using opened = await openOrCreateRepository(chooseRepository(loaded.config, undefined), { clock, signal })
  const dataDirectory = await serverOf(path, workingDirectory)
  const outcome = await pushWalFile(
    { repository: opened.repository, cluster: loaded.config.cluster, path, dataDirectory },
    { signal },
  )
  if (context.json) output.printJson({ path, outcome })
}

/** PostgreSQL runs its commands in its data directory; a person may stand elsewhere. */
export async function serverOf(path: string, workingDirectory: string): Promise<string> {
  if (await isDataDirectory(workingDirectory)) return workingDirectory
  return dirname(dirname(path))
}
