import { isObjectFault } from '../../repository/catalogue.ts'
import type { Repository } from '../../repository/repository.ts'
import { restoreFaults } from '../../restore/faults.ts'
import { planFromRepository } from '../../restore/plan-from-repository.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import { describeBytes } from '../../std/byte-size.ts'
import type { Clock, EpochMs } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { formatLsn, type Lsn } from '../../wal/core/lsn.ts'
import { transactionEnd, resourceManagers } from '../../wal/core/record-header.ts'
import { transactionTime } from '../../wal/core/transaction-record.ts'
import { createPairFinder, type CommitPair } from './core/wal-facts.ts'
import type { Examination, Seen } from './examination.ts'
import { readWal } from './read-wal.ts'

/** What reading the WAL of a backup tells, for the levels above. */
export interface WalFacts {
  readonly planned: PlannedRestore
  readonly endLsn: Lsn
  readonly lastCommitAt: EpochMs | null
  readonly pair: CommitPair | undefined
}

export interface WalCheckOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  /** True for level 2: the records are read. */
  readonly records: boolean
  /** 0 to 1: around which share of the WAL behind the backup two commits are looked for. */
  readonly share: number
  readonly onBytes: (done: number, total: number) => void
}

/**
 * L1, and L2 where it is asked for, of the WAL from a backup's start on, as far as it reaches without a hole: each object is read and
 * authenticated, there is no hole between the backup's start and its end, and every record is one that recovery takes.
 * Undefined when the backup has not the WAL that it needs itself.
 */
export async function checkWal(
  repository: Repository,
  { cluster, backup, ownWalOnly }: { readonly cluster: string; readonly backup: string; readonly ownWalOnly: boolean },
  examination: Examination,
  options: WalCheckOptions,
): Promise<WalFacts | undefined> {
  const planned = await planOwn(repository, { cluster, backup }, examination, options)
  if (planned === undefined) return undefined
  const { plan } = planned
  let reading: Reading | undefined
  const damaged = await examination.check(1, 'contents of the WAL', async () => {
    try {
      reading = await readRecords(repository, planned, options)
      return { outcome: 'passed', text: `${plan.wal.length} segments or parts of one, ${describeBytes(reading.bytes)}` }
    } catch (error) {
      if (!(error instanceof Fault) || !isObjectFault(error)) throw error
      examination.findFault(1, error)
      return { outcome: 'failed', text: error.message }
    }
  })
  if (!options.records) return reading === undefined ? undefined : { planned, ...reading }
  await examination.check(2, 'WAL chain', async () => chainSeen(planned, ownWalOnly))
  await examination.check(2, 'WAL records', async (): Promise<Seen> => {
    if (damaged === 'failed' || reading === undefined) {
      return { outcome: 'skipped', text: 'WAL objects are damaged; what is behind them was not read' }
    }
    if (reading.broken !== undefined) {
      examination.find({ level: 2, message: reading.broken })
      return { outcome: 'failed', text: reading.broken }
    }
    return { outcome: 'passed', text: `${reading.records} records, to ${formatLsn(reading.endLsn)}` }
  })
  return reading === undefined || reading.broken !== undefined ? undefined : { planned, ...reading }
}

/** The way from the backup's own start, over all WAL that follows without a hole, whatever is behind a hole. */
async function planOwn(
  repository: Repository,
  { cluster, backup }: { readonly cluster: string; readonly backup: string },
  examination: Examination,
  { signal, records }: WalCheckOptions,
): Promise<PlannedRestore | undefined> {
  const request = { target: { kind: 'immediate' }, timeline: 'latest', backupId: backup } as const
  try {
    return await planFromRepository(repository, cluster, request, { signal })
  } catch (error) {
    const missing =
      isFault(error, restoreFaults['restore-wal-gap']) || isFault(error, restoreFaults['restore-timeline-unknown'])
    if (!missing && !(error instanceof Fault && isObjectFault(error))) throw error
    examination.findFault(missing ? 2 : 1, error)
    const text = error.message
    await examination.check(1, 'contents of the WAL', async () => ({
      outcome: missing && records ? 'skipped' : 'failed',
      text,
    }))
    if (records)
      await examination.check(2, 'WAL chain', async () => ({ outcome: missing ? 'failed' : 'skipped', text }))
    return undefined
  }
}

function chainSeen({ plan, commit }: PlannedRestore, ownWalOnly: boolean): Seen {
  const own = `without a hole from ${formatLsn(commit.facts.startLsn)} to ${formatLsn(plan.walEndLsn)}`
  if (plan.gap === undefined) return { outcome: 'passed', text: `${own}, the end of the archive` }
  if (ownWalOnly) return { outcome: 'passed', text: `${own}; what follows is not kept for this backup` }
  const known = plan.gap.record === undefined ? '' : ` (on record: ${plan.gap.record.because})`
  return {
    outcome: 'doubtful',
    text: `${own}; the WAL from there to ${formatLsn(plan.gap.endLsn)} is missing${known}, so that later moments need a later backup`,
  }
}

interface Reading extends Omit<WalFacts, 'planned'> {
  readonly bytes: number
  readonly records: number
  readonly broken: string | undefined
}

async function readRecords(
  repository: Repository,
  planned: PlannedRestore,
  options: WalCheckOptions,
): Promise<Reading> {
  const { plan } = planned
  const { stopLsn } = plan.backup
  const behind = plan.walEndLsn - stopLsn
  const near = (stopLsn + BigInt(Math.floor(Number(behind) * options.share))) as Lsn
  const pairs = createPairFinder({ from: stopLsn, near })
  const total = plan.wal.reduce((sum, { validBytes }) => sum + validBytes, 0)
  let lastCommitAt: EpochMs | null = null
  const reading = await readWal(repository, planned, {
    ...options,
    onPiece: (bytes) => options.onBytes(bytes, total),
    onRecord: (record, bytes) => {
      if (record.resourceManager !== resourceManagers.transaction) return
      const kind = transactionEnd(record)
      const epochMicros = kind === undefined ? undefined : transactionTime(bytes())
      if (kind === undefined || epochMicros === undefined) return
      const prepared = (record.info & 0x70) === 0x30 || (record.info & 0x70) === 0x40
      pairs.see({ lsn: record.lsn, transaction: record.transaction, kind, prepared, epochMicros })
      if (kind === 'commit') lastCommitAt = Number(epochMicros / 1000n) as EpochMs
    },
  })
  return { ...reading, lastCommitAt, pair: pairs.found() }
}
