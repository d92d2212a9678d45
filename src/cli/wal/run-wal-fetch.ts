import { resolve } from 'node:path'
import { fetchForServer, identityForServer } from '../../archive/command/fetch-queue.ts'
import { placeFile } from '../../archive/command/place-file.ts'
import { absentWord } from '../../archive/command/wal-script.ts'
import { isStandby } from '../../archive/command/wal-service.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import type { CommandContext } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'
import { formatError } from '../terminal/error-block.ts'
import { serverOf } from './run-wal-push.ts'
import { startWalService } from './run-wal-serve.ts'

export interface WalFetchRequest {
  readonly name: string
  readonly path: string
  readonly service: boolean
}

/**
 * Fetches one file. `failed` (1) says that it is proven absent; whatever goes wrong, a configuration that cannot be read
 * included, is `stopsRecovery`, or 1 on a standby, which asks again.
 */
export async function runWalFetch(
  context: CommandContext,
  request: WalFetchRequest,
): Promise<'ok' | 'failed' | 'stopsRecovery'> {
  const { output, workingDirectory } = context
  const path = resolve(workingDirectory, request.path)
  try {
    const outcome = await fetch(context, { ...request, path })
    if (outcome === 'placed') return 'ok'
    output.print(absentWord)
    return 'failed'
  } catch (error) {
    output.note(formatError(error).text)
    if (!(await isStandby(await serverOf(path, workingDirectory)))) return 'stopsRecovery'
    output.print(absentWord)
    return 'failed'
  }
}

async function fetch(context: CommandContext, { name, path, service }: WalFetchRequest): Promise<'placed' | 'absent'> {
  const { clock, signal, workingDirectory } = context
  const loaded = await loadContextConfig(context)
  if (service) startWalService(loaded, context)
  await using opened = await openConfiguredRepository(chooseRepository(loaded.config, undefined), { clock, signal })
  const options = { repository: opened.repository, cluster: loaded.config.cluster, clock, signal }
  const identity = await identityForServer(options)
  const dataDirectory = await serverOf(path, workingDirectory)
  const fetched = await fetchForServer({ name, dataDirectory, identity }, options)
  if (fetched.kind === 'absent') return 'absent'
  await placeFile(path, fetched.bytes)
  return 'placed'
}
