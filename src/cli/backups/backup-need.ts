import { listBackups } from '../../repository/catalogue.ts'
import type { Repository } from '../../repository/repository.ts'
import type { EpochMs } from '../../std/clock.ts'

/**
 * Whether a backup has to be taken, and whether of everything. `ifNone`: none, where there is one. `fullAfterMs`: of
 * everything, where the last that copied everything ended longer ago.
 */
export async function backupNeed(
  repository: Repository,
  cluster: string,
  question: {
    readonly ifNone: boolean
    readonly fullAfterMs: number | undefined
    readonly now: EpochMs
    readonly signal: AbortSignal
  },
): Promise<{ readonly present: string } | { readonly full: boolean }> {
  const { ifNone, fullAfterMs, now, signal } = question
  if (!ifNone && fullAfterMs === undefined) return { full: false }
  const { backups } = await listBackups(repository, cluster, { signal })
  const last = backups.at(-1)
  if (ifNone && last !== undefined) return { present: last.facts.backup }
  if (fullAfterMs === undefined) return { full: false }
  const fresh = backups.some(({ facts }) => facts.kind === 'full' && facts.stoppedAt > now - fullAfterMs)
  return { full: !fresh }
}
