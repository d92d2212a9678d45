import type { Config } from '../../config/schema.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { openConfiguredCoordinator } from '../open-configured.ts'
import { readClusterEntries } from '../status/cluster-entries.ts'
import { type BackupFrom, chooseBackupNode } from './order/core/choose-node.ts'
import { orderBackup } from './order/order-backup.ts'
import type { BackupDocument } from './run-backup.ts'

/** What a backup is to be like. */
export interface BackupWishes {
  /** `standby`, `primary`, `here` or the name of a node; undefined: as configured. */
  readonly from: string | undefined
  readonly repository: string
  readonly label: string | undefined
  readonly full: boolean
  readonly readAll: boolean
  readonly workers: number | undefined
}

/**
 * Has the node whose files are to be read take the backup, and gives what its command printed; undefined when that is this
 * node. A standby is only preferred: where none can be asked, this node does it.
 */
export async function backUpElsewhere(
  config: Config,
  context: CommandContext,
  wishes: BackupWishes,
): Promise<BackupDocument | undefined> {
  const { clock, signal, output } = context
  const from = wishes.from ?? config.backup.from
  if (from === 'here' || from === config.node.name) return undefined
  const isPreference = from === 'standby'
  const wanted: BackupFrom = from === 'standby' || from === 'primary' ? from : { node: from }
  try {
    await using coordinator = await openConfiguredCoordinator(config, clock)
    const { members } = await readClusterEntries(coordinator, config.cluster, signal)
    const chosen = chooseBackupNode(members, wanted)
    if ('none' in chosen) throw nowhere(chosen.none)
    if (chosen.node === config.node.name) return undefined
    output.progress(`${chosen.node} takes the backup`)
    const options = optionsOf(wishes)
    const ordered = await orderBackup({
      coordinator,
      cluster: config.cluster,
      node: chosen.node,
      options,
      clock,
      signal,
    })
    if (ordered !== 'unanswered') return ordered.document as BackupDocument
    throw nowhere(`the agent of ${chosen.node} does not answer`)
  } catch (error) {
    const isUnreachable =
      error instanceof Fault && (error.kind.exitClass === 'unreachable' || error.kind.exitClass === 'notFound')
    if (isPreference && isUnreachable) return undefined
    throw error
  } finally {
    output.progress('')
  }
}

function optionsOf({ repository, label, full, readAll, workers }: BackupWishes): readonly string[] {
  return [
    '--from',
    'here',
    '--repository',
    repository,
    ...(label === undefined ? [] : ['--label', label]),
    ...(full ? ['--full'] : []),
    ...(readAll ? ['--read-all'] : []),
    ...(workers === undefined ? [] : ['--workers', String(workers)]),
  ]
}

function nowhere(reason: string): Fault {
  return new Fault(cliFaults['cli-backup-nowhere'], `Cannot find a node to back up: ${reason}`)
}
