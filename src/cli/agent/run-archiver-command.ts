import { join } from 'node:path'
import { archiverProcess } from '../../archive/archiver-process.ts'
import type { Config } from '../../config/schema.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import type { CommandContext } from '../command.ts'
import { socketDirectory } from '../local-server.ts'
import { chooseWritten, openOrCreateRepository } from '../open-configured.ts'
import { archiverSlot } from './archiver-slot.ts'
import { findWalDonors } from './wal-donors.ts'

/** The archiver of one repository as its own process, so that it never delays a lease renewal. */
export async function runArchiverCommand(
  config: Config,
  { clock, signal }: CommandContext,
  name: string | undefined,
): Promise<void> {
  const { replication, port } = config.postgres
  const chosen = chooseWritten(config, name)
  await using opened = await openOrCreateRepository(chosen, { clock, signal })
  await archiverProcess(
    {
      source: {
        host: socketDirectory(config),
        port,
        user: replication.user,
        password: await readSecretFile('postgres.replication.passwordFile', replication.passwordFile),
        database: 'postgres',
        applicationName: 'holdfast archiver',
      },
      slot: archiverSlot(chosen.name),
      repository: opened.repository,
      cluster: config.cluster,
      spoolDirectory: join(config.node.stateDirectory, 'spool', chosen.name),
      flushMs: config.wal.flush.ms,
      findDonors: (asking) => findWalDonors(config, clock, asking),
      clock,
    },
    { input: process.stdin, output: process.stdout },
  )
}
