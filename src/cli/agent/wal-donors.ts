import { join } from 'node:path'
import { directoryDonor } from '../../archive/donors/directory-donor.ts'
import type { WalDonor } from '../../archive/donors/donor.ts'
import { memberDonor } from '../../archive/donors/member-donor.ts'
import type { Config } from '../../config/schema.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import type { Clock } from '../../std/clock.ts'
import { openConfiguredCoordinator } from '../open-configured.ts'
import { readClusterEntries } from '../status/cluster-entries.ts'

/** Who may have WAL that this node's server has lost: what this node has put aside, and every other member. */
export async function findWalDonors(config: Config, clock: Clock, signal: AbortSignal): Promise<readonly WalDonor[]> {
  const { replication } = config.postgres
  const password = await readSecretFile('postgres.replication.passwordFile', replication.passwordFile)
  await using coordinator = await openConfiguredCoordinator(config, clock)
  const { members } = await readClusterEntries(coordinator, config.cluster, signal)
  const others = members.filter(({ node }) => node !== config.node.name)
  return [
    directoryDonor(join(config.node.stateDirectory, 'divergent')),
    ...others.map(({ node, host, port }) => {
      const who = { user: replication.user, password, database: 'postgres', applicationName: 'holdfast archiver' }
      return memberDonor(node, { host, port, ...who }, clock)
    }),
  ]
}
