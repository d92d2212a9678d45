import { isObjectFault } from '../../repository/catalogue.ts'
import type { RetentionPolicy } from '../../repository/core/retention.ts'
import { expireBackups } from '../../repository/expire-backups.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import type { Repository } from '../../repository/repository.ts'
import { holesBehind } from '../../restore/plan-from-repository.ts'
import type { Clock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Examination } from './examination.ts'

/**
 * L2 of the whole kept window, by names alone: from each backup that is kept with all WAL after it (and not merely with
 * its own) the WAL goes on without a hole. A hole is doubtful and no failure of the backup that is verified: it is what
 * the gap ledger says, and no backup can fill it any more. Gives the backups that are kept with their own WAL alone.
 */
export async function checkWindow(
  repository: Repository,
  { cluster, policy }: { readonly cluster: string; readonly policy: RetentionPolicy },
  examination: Examination,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<ReadonlySet<string>> {
  let own: ReadonlySet<string> = new Set()
  await examination.check(2, 'kept window', async () => {
    try {
      const { verdicts } = await expireBackups(repository, cluster, policy, { ...options, dryRun: true })
      own = new Set(verdicts.filter(({ keep, wal }) => keep && wal === 'own').map(({ backup }) => backup))
      const kept = verdicts.filter(({ keep, wal }) => keep && wal === 'onwards').map(({ backup }) => backup)
      const holes = await holesBehind(repository, cluster, kept, options)
      const first = holes[0]
      if (first === undefined) {
        return { outcome: 'passed', text: `WAL without a hole behind every one of ${kept.length} backups` }
      }
      const more = holes.length === 1 ? '' : `, and ${holes.length - 1} more`
      const text = `no moment from ${formatLsn(first.startLsn)} to ${formatLsn(first.endLsn)} of timeline ${first.timeline} can be restored${more}`
      return { outcome: 'doubtful', text }
    } catch (error) {
      // Which backups are kept cannot be told either, then: what is damaged stands among the findings of level 1.
      const unsafe = isFault(error, repositoryFaults['repository-collection-unsafe'])
      if (!unsafe && !(error instanceof Fault && isObjectFault(error))) throw error
      if (unsafe) examination.findFault(2, error)
      return { outcome: 'failed', text: error.message }
    }
  })
  return own
}
