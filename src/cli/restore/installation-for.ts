import type { Config } from '../../config/schema.ts'
import { chooseInstallation, installationSearch } from '../../postgres/installation.ts'
import type { Installation } from '../../postgres/installation.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import type { CommandContext } from '../command.ts'

/** The PostgreSQL of the major release that a backup is of. */
export async function installationFor(
  config: Config,
  context: CommandContext,
  { commit }: Pick<PlannedRestore, 'commit'>,
): Promise<Installation> {
  const search = installationSearch(context.environment, process.getuid?.() ?? 0)
  const major = Math.floor(commit.facts.postgresVersion / 10_000)
  const { binDirectory } = config.postgres.major === major ? config.postgres : { binDirectory: undefined }
  return await chooseInstallation(search, { major, binDirectory })
}
