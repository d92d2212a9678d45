import { readFile } from 'node:fs/promises'
import { Fault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { lastLines } from '../std/run-program.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import { readRecoveryEnd } from './core/recovery-settings.ts'
import { describeRecoveryTarget } from './core/target.ts'
import { restoreFaults } from './faults.ts'
import type { PlannedRestore } from './plan-from-repository.ts'

/** What is known of a recovery that ended before its target. */
export interface EndedRecovery {
  readonly planned: PlannedRestore
  readonly options: { readonly dataDirectory: string }
  readonly feed: { readonly failure: unknown }
  readonly logFile: string
}

/** Why a recovery ended before its target: what the feed could not bring, else what the server's log says. */
export async function recoveryFault(run: EndedRecovery): Promise<unknown> {
  const known = await knownFault(run)
  if (known !== undefined) return known
  const { plan } = run.planned
  const { dataDirectory } = run.options
  const target = describeRecoveryTarget(plan.target)
  const last = lastLines(await readFile(run.logFile, 'utf8'), 8)
  return new Fault(restoreFaults['restore-recovery-failed'], `Cannot recover ${dataDirectory} to ${target}: ${last}`, {
    details: { directory: dataDirectory, target, backup: plan.backup.id, timeline: plan.timeline },
  })
}

/** As {@link recoveryFault}, but undefined when the log has none of the reasons that we know. */
export async function knownFault(run: EndedRecovery): Promise<unknown> {
  if (run.feed.failure !== undefined) return run.feed.failure
  const log = await readFile(run.logFile, 'utf8').catch(() => '')
  const end = readRecoveryEnd(log)
  const { plan } = run.planned
  const { dataDirectory } = run.options
  const target = describeRecoveryTarget(plan.target)
  const details = { directory: dataDirectory, target, backup: plan.backup.id, timeline: plan.timeline }
  if (end.diskFull) {
    const message = `Cannot recover ${dataDirectory}: no space left on a file system: ${lastLines(log, 3)}`
    return new Fault(stdFaults['disk-full'], message, { details })
  }
  if (end.notReached) {
    const gap = plan.gap === undefined ? '' : `; the WAL from there to ${formatLsn(plan.gap.endLsn)} is missing`
    return new Fault(
      restoreFaults['restore-target-not-reached'],
      `Cannot recover to ${target}: it is not in the archived WAL of timeline ${plan.timeline}, which ends at ${formatLsn(plan.walEndLsn)}${gap}`,
      { details },
    )
  }
  if (end.tooEarly) {
    return new Fault(
      restoreFaults['restore-target-too-early'],
      `Cannot recover to ${target}: it lies before the end of backup ${plan.backup.id}`,
      { details, hint: 'Restore from an older backup: name it.' },
    )
  }
  if (end.parametersTooSmall) {
    return new Fault(
      restoreFaults['restore-parameters-too-small'],
      `Cannot recover ${dataDirectory}: ${lastLines(log, 4)}`,
      { details },
    )
  }
  return undefined
}
